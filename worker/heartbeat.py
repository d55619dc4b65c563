"""A worker's heartbeat: its facts in Redis every few seconds, from a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import redis as redis_py
from celery.utils.log import get_logger

from producer.heartbeats import BEAT_S, beat, forget
from producer.queues import Beating

if TYPE_CHECKING:
    from redis import Redis

logger = get_logger(__name__)

#: How long a close waits for a beat that is on its way.
CLOSE_S: Final = 0.5

Facts = Callable[[], Mapping[str, Any]]


class Heartbeat:
    """Beats until it is closed. A broker that is away is no matter of its own."""

    def __init__(self, redis: Redis, facts: Facts, *, refresh: Callable[[], None]) -> None:
        """`refresh` is called before each beat: what takes its time is looked up here."""
        self._redis = redis
        self._facts = facts
        self._refresh = refresh
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._node = ""

    def start(self, node: str) -> None:
        """Beat as `node` from now on."""
        self._node = node
        self._thread.start()

    def close(self) -> None:
        """Beat no more, and be there no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while True:
            try:
                self._refresh()
                beat(self._redis, Beating.WORKER, self._node, self._facts(), time.time())
            except redis_py.RedisError as error:
                logger.debug("no heartbeat: %s", error)
            except Exception:
                # A silent worker would be taken for a dead one.
                logger.exception("a heartbeat failed")
            if self._closing.wait(BEAT_S):
                break
        # By this thread, behind its last beat, or a worker that has ended would still be shown.
        try:
            forget(self._redis, Beating.WORKER, self._node)
        except redis_py.RedisError as error:
            logger.debug("the heartbeat runs out by itself: %s", error)
