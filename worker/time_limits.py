"""Time limits: one thread ends whatever runs for too long."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from celery.utils.log import get_logger

logger = get_logger(__name__)

Action = Callable[[], None]


class TimeLimits:
    """The limits of all that runs now. Thread-safe; the thread begins with the first limit."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = count()
        #: When each is due, the first in front; some that are not among the actions any more.
        self._due: list[tuple[float, int]] = []
        self._actions: dict[int, Action] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, limit_s: float | None, action: Action) -> Iterator[None]:
        """Have `action` called, in another thread, if the block takes more than `limit_s`.

        None is no limit. It is never called once the block has ended, so it must be short.
        """
        if limit_s is None:
            yield
            return
        number = next(self._numbers)
        with self._changed:
            self._actions[number] = action
            heapq.heappush(self._due, (time.monotonic() + limit_s, number))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="time-limits", daemon=True)
                self._thread.start()
            if self._due[0][1] == number:
                # The thread sleeps until another one is due, which is later.
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._actions.pop(number, None)
                self._forget()

    def _run(self) -> None:
        with self._changed:
            while True:
                self._forget()
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is None or left_s > 0:
                    self._changed.wait(left_s)
                else:
                    self._end(heapq.heappop(self._due)[1])

    def _forget(self) -> None:
        """Have in front what still runs: the thread wakes up for nothing else."""
        while self._due and self._due[0][1] not in self._actions:
            heapq.heappop(self._due)

    def _end(self, number: int) -> None:
        try:
            self._actions.pop(number)()
        except Exception:
            # Every other limit depends on this thread.
            logger.exception("a task could not be ended")
