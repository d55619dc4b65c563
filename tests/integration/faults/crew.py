"""A crew: workers that are started again whenever they die, as a container is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.conftest import READY_TIMEOUT_S, WorkerProcess, eventually

#: How often it looks for the dead.
LOOK_S = 0.1


class Crew:
    """As a context manager; `names` are the workers', without their host."""

    def __init__(
        self,
        start: Callable[[str], WorkerProcess],
        names: Sequence[str],
        on_death: Callable[[str], object] = lambda name: None,
    ) -> None:
        """`on_death` is called with a name before its next worker is started."""
        self._start = start
        self._on_death = on_death
        self._members = {name: start(name) for name in names}
        self.deaths = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        for member in self._members.values():
            # Its own log: a farm whose workers die all the time may answer nobody.
            eventually(lambda member=member: "phase=ready" in member.log, READY_TIMEOUT_S)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()

    def kill(self, name: str) -> None:
        """End a member without a word."""
        with suppress(ProcessLookupError):  # dead, and about to be started again
            os.killpg(self._members[name].process.pid, signal.SIGKILL)

    def _keep(self) -> None:
        while not self._closing.wait(LOOK_S):
            for name, member in list(self._members.items()):
                if member.process.poll() is not None:
                    self.deaths += 1
                    self._on_death(name)
                    self._members[name] = self._start(name)
