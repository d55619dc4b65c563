"""The caretaker: has the farm's housekeeping done now and then, by one of its workers.

Whoever sets the key first does it. The key lasts until the next time, so it is the timer, too,
and outlives a worker that dies over its work.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import redis as redis_py
from celery.utils.log import get_logger

from producer.errors import VoicefarmError
from producer.queues import HOUSEKEEPING_KEY

from .housekeeper import Housekeeper

if TYPE_CHECKING:
    from redis import Redis

    from .config import WorkerSettings

logger = get_logger(__name__)

#: How often a worker looks whether it is time, at least.
LOOK_S: Final = 60.0


class Caretaker:
    """A thread that waits for its turn."""

    def __init__(
        self,
        redis: Redis,
        housekeeper: Housekeeper,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`every_s` 0 is never."""
        self._redis = redis
        self._housekeeper = housekeeper
        self._every_s = every_s
        self._clock = clock
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, settings: WorkerSettings, redis: Redis) -> Caretaker:
        """Return the one of a worker with these settings; `redis` returns text."""
        return cls(redis, Housekeeper(settings, redis), settings.gc_s)

    def start(self, node: str) -> None:
        """Begin to wait, as `node`."""
        if self._every_s:
            self._thread = threading.Thread(
                target=self._run, args=(node,), name="caretaker", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Wait no more. A sweep that is under way ends with the process: it is never half done."""
        self._closing.set()

    def turn(self, node: str) -> bool:
        """Do the housekeeping if nobody has done it for its time; return whether it was done."""
        lasts_ms = max(1, round(self._every_s * 1000))
        if not self._redis.set(HOUSEKEEPING_KEY, node, nx=True, px=lasts_ms):
            return False
        began_s, counts, freed_bytes = self._clock(), Counter[str](), 0
        for removal in self._housekeeper.sweep():
            counts[removal.kind] += 1
            freed_bytes += removal.size_bytes
            if self._closing.is_set():
                break
        logger.log(
            20 if counts else 10,
            "housekeeping: %s, %.1f MB, in %.1f s",
            ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing to do",
            freed_bytes / 1e6,
            self._clock() - began_s,
        )
        return True

    def _run(self, node: str) -> None:
        while not self._closing.wait(min(LOOK_S, self._every_s)):
            try:
                self.turn(node)
            except (OSError, VoicefarmError, redis_py.RedisError) as error:
                logger.warning("housekeeping was not done, the next is due later: %s", error)
            except Exception:
                # The thread goes on: one thing that cannot be swept is no reason to stop.
                logger.exception("housekeeping failed")
