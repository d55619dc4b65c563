"""Strangers: what others put on our queues is kept in a list, and stops nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from celery.utils.log import get_logger
from redis.exceptions import OutOfMemoryError

from producer.queues import STRANGERS_KEY

if TYPE_CHECKING:
    from redis import Redis

logger = get_logger(__name__)

#: How many strangers are kept; older ones are dropped.
KEPT_STRANGERS: Final = 1000

#: What is raised of a list entry that is not in kombu's format. It would end the worker.
_UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError)


class Strangers:
    """The list of messages that are not ours, newest first."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        # Of the thread that reads: whether it has kept what it reads now.
        self._reading = threading.local()

    def keep(self, why: str, message: Any) -> None:
        """Keep what is known of a message, with the reason why it is not ours."""
        self._reading.has_kept = True
        kept = json.dumps({"why": why, "message": message}, default=_readable)
        try:
            self._redis.lpush(STRANGERS_KEY, kept)
        except OutOfMemoryError:
            logger.error("the broker has no memory to keep what is not ours: %s", why)
            return
        self._redis.ltrim(STRANGERS_KEY, 0, KEPT_STRANGERS - 1)
        logger.warning("a message that is not ours was kept in %s: %s", STRANGERS_KEY, why)

    def read(self, entry: bytes, deliver: Callable[[], None]) -> bool:
        """Deliver a list entry; one that cannot be read is kept, and False returned."""
        self._reading.has_kept = False
        try:
            deliver()
        except _UNREADABLE as error:
            logger.debug("unreadable entry", exc_info=True)
            # Celery may fail over a message once more when it tells that nobody wants it.
            if not self._reading.has_kept:
                self.keep(f"no Celery message: {error!r}", entry)
            return False
        return True


def _readable(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value)
