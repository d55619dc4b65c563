"""The farm as an `up` sees it: backlog, heartbeats and dead workers, through one quick client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import redis

from producer.backlog import Backlog
from producer.batch.demand import read_demand
from producer.broker import CONNECT_TIMEOUT_S, Broker
from producer.decisions import Decision, record
from producer.heartbeats import beat, forget, heartbeats
from producer.queues import Beating

from .lease import release

T = TypeVar("T")


class BrokerAway(Exception):
    """The broker does not answer; nothing was done."""


class FarmView:
    """Asks the broker and does not wait long. Every method raises `BrokerAway`."""

    def __init__(self, url: str) -> None:
        self._broker = Broker(url, retries=0, answer_limit_s=CONNECT_TIMEOUT_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._broker.close()

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what every worker of the farm said last, by node."""
        return self._asked(lambda: heartbeats(self._redis, Beating.WORKER))

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Return what every `up` of the farm said last."""
        return self._asked(lambda: heartbeats(self._redis, Beating.HOST))

    def backlog(self) -> Backlog:
        """Return what waits and runs."""
        return self._asked(lambda: read_demand(self._redis, time.time()))

    def tell(self, host: str, facts: Mapping[str, Any]) -> None:
        """Beat for this host."""
        self._asked(lambda: beat(self._redis, Beating.HOST, host, facts, time.time()))

    def leave(self, host: str) -> None:
        """Take this host's heartbeat away."""
        self._asked(lambda: forget(self._redis, Beating.HOST, host))

    def bury(self, node: str) -> int:
        """Give back what a dead worker held, to be run next; return how many messages."""

        def buried() -> int:
            forget(self._redis, Beating.WORKER, node)
            return release(self._redis, node)

        return self._asked(buried)

    def record(self, decision: Decision) -> None:
        """Keep a decision for `voicefarm workers --why`."""
        self._asked(lambda: record(self._redis, decision))

    @property
    def _redis(self) -> redis.Redis:
        return self._broker.redis

    @staticmethod
    def _asked(question: Callable[[], T]) -> T:
        try:
            return question()
        except redis.RedisError as error:
            raise BrokerAway(str(error)) from error
