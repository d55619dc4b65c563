"""What a worker tells over HTTP: is it alive, is it ready, its numbers."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import redis

from producer.batch.demand import read_demand
from producer.batch.outlook import read_outlook
from producer.broker import CONNECT_TIMEOUT_S, Broker
from producer.heartbeats import heartbeats
from producer.ledger import Ledger
from producer.queues import Beating

from .http_door import Answer, HttpDoor, told
from .readiness import Readiness

if TYPE_CHECKING:
    from .metrics import Sight
    from .station import Station


class Telling:
    """The pages of one worker. It asks the broker through a client that does not wait long."""

    def __init__(self, station: Station, port: int, host: str) -> None:
        """`port` 0 is any that is free. Raises `OSError` if it is taken."""
        self._station = station
        self._broker = Broker(station.broker.url, retries=0, answer_limit_s=CONNECT_TIMEOUT_S)
        self._ledger = Ledger(self._broker.redis, keep_s=1)
        pages = {"/livez": self._alive, "/readyz": self._ready, "/metrics": self._metrics}
        self._door = HttpDoor(port, pages, host)
        self.port = self._door.port

    def close(self) -> None:
        """Tell no more."""
        self._door.close()
        self._broker.close()

    def _alive(self) -> Answer:
        ailment = self._station.ailment()
        return told(not ailment, {"alive": not ailment, "detail": ailment})

    def _ready(self) -> Answer:
        # Without a broker nothing can be taken; that ends when it is back, so `/livez` is well.
        facts = {**self._station.facts(), "broker_up": self._broker_answers()}
        return told(facts["state"] == Readiness.READY and facts["broker_up"], facts)

    def _broker_answers(self) -> bool:
        try:
            return bool(self._broker.redis.ping())
        except redis.RedisError:
            return False

    def _metrics(self) -> Answer:
        try:
            # Only who is scraped needs the library.
            from .metrics import WorkerCollector, exposition
        except ImportError as error:
            return told(False, {"detail": f"prometheus-client is not installed: {error}"})
        text = exposition(WorkerCollector(self._station.facts, self._sight))
        return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", text

    def _sight(self) -> Sight | None:
        from .metrics import Sight

        now_s = time.time()
        try:
            return Sight(
                read_demand(self._broker.redis, now_s),
                self._ledger.counts(),
                workers=heartbeats(self._broker.redis, Beating.WORKER),
                hosts=heartbeats(self._broker.redis, Beating.HOST),
                outlook=read_outlook(self._broker.redis, now_s),
            )
        except redis.RedisError:
            return None
