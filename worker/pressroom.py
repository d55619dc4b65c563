"""The pressroom: as many presses as the jobs of one worker keep busy, and none for a few.

The files of short jobs are made by presses, once several are to be made at the same time. Those of
long jobs are written while they are spoken, by the threads of their jobs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from producer.job import OutputSpec

from .config import WorkerSettings
from .engine.affinity import processors
from .engine.request import Samples
from .manifest import Facts
from .null_store import NullStaged, NullStore
from .press import Press
from .press_order import Order
from .staged import Entry, Staged
from .store import Store

#: Samples of a job that are held in memory until it ends: 43 s at 24 kHz. What is longer is written
#: as it comes.
SHORT_BYTES: Final = 4 << 20

#: So many files in hand for each press, and for the worker itself, are a reason for one more press.
#: One that is not busy syncs what it has at once, and has two or three.
FILES_EACH: Final = 8

#: While one syncs another encodes. Eight are more than a GPU needs for WAV; where they have no
#: room, as they may for Opus, the worker's own threads make files beside them.
LEAST_PRESSES: Final = 2
MOST_PRESSES: Final = 8


def presses_of(settings: WorkerSettings) -> int:
    """Return how many presses a worker may have: as wished, or as the machine is good for."""
    if settings.store != "volume" or not hasattr(os, "memfd_create"):
        return 0
    usual = min(MOST_PRESSES, max(LEAST_PRESSES, processors() // 2))
    return usual if settings.presses is None else settings.presses


class Pressroom:
    """Stages files as `Store.stage` does. Thread-safe."""

    def __init__(
        self, store: Store | NullStore, home: Path, *, most: int, files_each: int = FILES_EACH
    ) -> None:
        """`most` presses are started, each when the others have `files_each` in hand."""
        self._store = store
        self._home = home
        self._most = most
        self._files_each = files_each
        self._lock = threading.Lock()
        self._presses: list[Press] = []
        self._in_hand = 0
        self._is_closed = False

    @contextmanager
    def stage(self, key: str, output: OutputSpec, native_rate_hz: int) -> Iterator[Draft]:
        """See `Store.stage`; a volume that fails later may be met as late as at the commit."""
        # Before the engine has computed what could not be kept.
        self._store.prove()
        with ExitStack() as files:

            def begin() -> Staged | NullStaged:
                return files.enter_context(self._begin(key, output, native_rate_hz))

            yield Draft(self, begin, key, output, native_rate_hz)

    @contextmanager
    def place(self) -> Iterator[Press | None]:
        """Give a press that makes a file meanwhile; None where its owner has to."""
        with self._lock:
            self._in_hand += 1
            if self._wants_another():
                self._presses.append(Press(self._home))
        ready = [press for press in self._presses if press.is_ready]
        try:
            yield min(ready, key=lambda press: press.in_hand, default=None)
        finally:
            with self._lock:
                self._in_hand -= 1

    @property
    def pids(self) -> list[int]:
        """The numbers of the presses' processes that take orders."""
        return [press.pid for press in self._presses if press.is_ready and press.pid]

    def close(self) -> None:
        """Let the presses finish, then stop them."""
        with self._lock:
            self._is_closed = True
        for press in self._presses:
            press.close()

    def _begin(
        self, key: str, output: OutputSpec, native_rate_hz: int
    ) -> AbstractContextManager[Staged | NullStaged]:
        return self._store.stage(key, output, native_rate_hz)

    def _wants_another(self) -> bool:
        places = len(self._presses) + 1
        is_many = self._in_hand >= self._files_each * places
        return is_many and len(self._presses) < self._most and not self._is_closed


class Draft:
    """The audio of one job: held in memory as long as it is short."""

    def __init__(
        self,
        room: Pressroom,
        begin: Callable[[], Staged | NullStaged],
        key: str,
        output: OutputSpec,
        native_rate_hz: int,
    ) -> None:
        """`begin` gives a place to write the file in this process."""
        self._room = room
        self._begin = begin
        self._key = key
        self._output = output
        self._native_rate_hz = native_rate_hz
        self._blocks: list[Samples] = []
        self._held_bytes = 0
        self._staged: Staged | NullStaged | None = None

    def write(self, samples: Samples, rate_hz: int) -> None:
        """See `Staged`."""
        if self._staged is not None or rate_hz != self._native_rate_hz:
            self._here().write(samples, rate_hz)
            return
        self._blocks.append(samples)
        self._held_bytes += samples.nbytes
        if self._held_bytes > SHORT_BYTES:
            self._here()

    def commit(self, facts: Facts) -> Entry:
        """See `Staged`."""
        if self._staged is not None:
            return self._staged.commit(facts)
        with self._room.place() as press:
            return self._pressed(press, facts) or self._here().commit(facts)

    def _pressed(self, press: Press | None, facts: Facts) -> Entry | None:
        if press is None:
            return None
        order = Order(self._key, self._output, self._native_rate_hz, facts)
        promise = press.order(order, self._blocks)
        return promise.result() if promise else None

    def _here(self) -> Staged | NullStaged:
        """Write the file in this process."""
        if self._staged is None:
            self._staged = self._begin()
            held, self._blocks = self._blocks, []
            for samples in held:
                self._staged.write(samples, self._native_rate_hz)
        return self._staged
