"""Solitude: a job that may kill its worker runs with no other beside it.

Jobs in company share the worker; one that is to be alone waits until they have ended, and
whoever comes after it waits until it has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .engine.errors import TakeCancelled

#: How often one who waits looks whether it is still wanted.
LOOK_S: Final = 0.2

Wanted = Callable[[], bool]


class Solitude:
    """The places of one worker. Thread-safe; all wait in task threads."""

    def __init__(self, on_end: Callable[[], None] = lambda: None) -> None:
        """`on_end` is called when company is welcome again."""
        self._on_end = on_end
        self._changed = threading.Condition()
        self._company = 0
        self._alone = False
        self._waiting = 0

    @property
    def is_wanted(self) -> bool:
        """True while a job is alone, or waits to be: nothing else should be taken."""
        return self._alone or self._waiting > 0

    @contextmanager
    def company(self, wanted: Wanted) -> Iterator[None]:
        """Be one of many. Raises `TakeCancelled` once a job that waits is wanted no more."""
        with self._changed:
            self._wait(lambda: not self.is_wanted, wanted)
            self._company += 1
        try:
            yield
        finally:
            with self._changed:
                self._company -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, wanted: Wanted) -> Iterator[None]:
        """Be the only one. Raises `TakeCancelled` once a job that waits is wanted no more."""
        with self._changed:
            self._waiting += 1
            try:
                self._wait(lambda: not (self._alone or self._company), wanted)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
            self._on_end()

    def _wait(self, free: Callable[[], bool], wanted: Wanted) -> None:
        while not free():
            if not wanted():
                raise TakeCancelled("the job was cancelled")
            self._changed.wait(LOOK_S)
