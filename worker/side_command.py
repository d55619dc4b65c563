"""The command that runs beside a farm: `up -- COMMAND`."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from producer.child_process import leashed

from .processes import StopSignals

#: How long a command may take to end when its farm has failed.
END_S: Final = 10.0


class SideCommand:
    """Ctrl-C reaches it from the terminal, as it would without us; SIGTERM is passed on.

    A second signal kills it. As a context: it does not outlive the block.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._process = subprocess.Popen(
            leashed(*command, at_death=signal.SIGTERM), cwd=directory, env=environment
        )
        self._heard = 0

    @property
    def code(self) -> int | None:
        """Its exit code as a shell gives it, None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def heed(self, signals: StopSignals) -> None:
        """Pass on what has come since the last time."""
        if signals.count > self._heard:
            self._heard = signals.count
            if self._heard > 1:
                self._process.kill()
            elif signals.last != signal.SIGINT:  # that one the terminal has sent to both of us
                self._process.send_signal(signals.last)

    def __enter__(self) -> SideCommand:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
