"""Measures how fast this worker is, by the way that the speech takes, and tells the farm."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from producer.batch.estimate import CONVERTED, PLAIN
from producer.queues import QUEUE_OF, RATES_KEY

from .meter import Meter

if TYPE_CHECKING:
    from redis import Redis

#: How often it is told.
TELL_S: Final = 5.0


class RateReport:
    """The meters of one worker, looked at in step with its dispatcher."""

    def __init__(self, redis: Redis, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self._redis = redis
        self._snapshot = snapshot
        self._meters = {PLAIN: Meter(), CONVERTED: Meter()}
        self._counts = (0, 0)
        self._told_s = float("-inf")

    def look(self, node: str, now_s: float) -> None:
        """Measure since the last look. A worker is not idle while a message waits."""
        facts = self._snapshot()
        waiting = sum(int(str(self._redis.llen(queue))) for queue in QUEUE_OF.values())
        path = self._path(int(facts.get("takes", 0)), int(facts.get("converted", 0)))
        for name, meter in self._meters.items():
            busy = waiting > 0 and path in (name, "")
            meter.look(now_s, float(facts.get("audio_s", 0)), busy=busy)
        if now_s - self._told_s >= TELL_S and facts.get("takes"):
            rates = {name: meter.rate for name, meter in self._meters.items()}
            said = json.dumps({"at_s": now_s, "rates": rates})
            self._redis.hset(RATES_KEY, node, said)
            self._told_s = now_s

    def withdraw(self, node: str) -> None:
        """Say that this worker makes nothing any more."""
        self._redis.hdel(RATES_KEY, node)

    def _path(self, takes: int, converted: int) -> str:
        """Return the way that all takes since the last look went; none is any, some is neither."""
        spoken, turned = takes - self._counts[0], converted - self._counts[1]
        self._counts = (takes, converted)
        if spoken <= 0:
            return ""
        if turned <= 0:
            return PLAIN
        return CONVERTED if turned >= spoken else "mixed"
