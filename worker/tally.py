"""A tally: a number that many threads add to."""

from __future__ import annotations

import threading


class Tally:
    """Counts up from 0. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0

    def add(self, count: int) -> None:
        """Count `count` more."""
        with self._lock:
            self.total += count
