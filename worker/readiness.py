"""What a worker says of itself: one state of five, and the facts behind it."""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import Any


class Readiness(StrEnum):
    """Where a worker is between its start and its end."""

    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    BROKEN = "broken"


#: A worker that drains or is broken takes no work again.
_LAST = frozenset({Readiness.DRAINING, Readiness.BROKEN})


class ReadinessBoard:
    """The present state, when it was entered, and why. Thread-safe; takes the time."""

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._state = Readiness.LOADING
        self._since_s = now_s
        self._detail = ""

    @property
    def state(self) -> Readiness:
        """The present state."""
        return self._state

    def enter(self, state: Readiness, now_s: float, detail: str = "") -> bool:
        """Enter `state`; False if the worker has already gone further than that."""
        with self._lock:
            if self._state is state or self._state in _LAST:
                return False
            self._state, self._since_s, self._detail = state, now_s, detail
            return True

    def snapshot(self) -> dict[str, Any]:
        """Return plain JSON facts."""
        with self._lock:
            return {
                "state": self._state.value,
                "since": self._since_s,
                "detail": self._detail,
            }
