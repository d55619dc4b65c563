"""The bindery: how many books this worker puts together at the same time."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .config import WorkerSettings


class Bindery:
    """Counts the books that are made here. Thread-safe."""

    def __init__(self, places: int, on_room: Callable[[], None]) -> None:
        """`on_room` is called when a place becomes free."""
        self._places = places
        self._on_room = on_room
        self._lock = threading.Lock()
        self._taken = 0

    @classmethod
    def of(cls, settings: WorkerSettings, on_room: Callable[[], None]) -> Bindery:
        """Return that of a worker: it has no place where ffmpeg or the store is missing."""
        able = settings.store == "volume" and importlib.util.find_spec("av") is not None
        return cls(settings.books if able else 0, on_room)

    @property
    def has_room(self) -> bool:
        """True if one more book may be begun."""
        return self._taken < self._places

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count one book, which has been taken already."""
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)
            self._on_room()

    def _count(self, change: int) -> None:
        with self._lock:
            self._taken += change
