"""A baton: the engine's thread works only as many bursts as a test lets it."""

from __future__ import annotations

import threading

#: Longer than anything a test waits for; only a broken engine takes it.
PATIENCE_S = 10.0


class Baton:
    """Stands in for the fake model's `sleep`: each burst waits here for its turn."""

    def __init__(self) -> None:
        self._turns = threading.Semaphore(0)
        self._waiting = threading.Semaphore(0)

    def __call__(self, seconds: float) -> None:
        self._waiting.release()
        assert self._turns.acquire(timeout=PATIENCE_S)

    def wait_for_burst(self) -> None:
        """Wait until the engine is in a burst, and leave it there."""
        assert self._waiting.acquire(timeout=PATIENCE_S)

    def end_burst(self) -> None:
        """Let the engine out of the burst that it is in."""
        self._turns.release()

    def let_go(self) -> None:
        """Let the engine run freely from now on."""
        self._turns.release(10_000)
