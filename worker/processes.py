"""The processes of one machine's farm: each ends when it is told to, or with its parent."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final, Self

from producer.child_process import leashed

#: How often a process that is watched is looked at.
POLL_S: Final = 0.1

#: How long a worker may take to give its jobs back before it is killed.
QUIT_S: Final = 5.0

#: Lines of a log that stand for the whole of it in an error.
TAIL_LINES: Final = 15


class StopSignals:
    """Counts the signals that ask us to stop while the block runs, and does nothing else.

    What interrupts nothing leaves nothing half done: whoever waits looks at the count. A
    signal that was ignored before, as `nohup` does, stays so.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last = signal.SIGTERM

    def __enter__(self) -> Self:
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        heeded = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.last = signal.Signals(number)


class Child:
    """A process of the farm, in a session of its own, that writes to a log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        log: BinaryIO,
    ) -> None:
        self.name = name
        self.log = Path(log.name)
        self._process = subprocess.Popen(
            leashed(*command),
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A Ctrl-C in the terminal is ours to pass on, in the right order.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it and its group at once; it may give nothing back."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    @property
    def code(self) -> int | None:
        """Its exit code, below 0 for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, limit_s: float, hurried: Callable[[], bool]) -> None:
        """Wait for its end; cut it short at the limit, or once we are `hurried`."""
        deadline_s = time.monotonic() + limit_s
        while self.alive:
            if hurried() or time.monotonic() > deadline_s:
                self._cut_short()
                return
            time.sleep(POLL_S)

    def _cut_short(self) -> None:
        """Have it stop at once, which lets a worker give its jobs back; then kill its group."""
        self._process.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(QUIT_S)
        self.kill()
        self._process.wait()

    def ending(self) -> str:
        """Return how it ended and the last lines it wrote."""
        code = self._process.poll()
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n  ".join([f"{self.name} ended with {code}; the end of {self.log}:", *lines])


def claim_log(logs: Path, names: Iterable[str], host: str) -> tuple[str, BinaryIO]:
    """Return the first free node name, such as `gpu0@host`, with its open log.

    The log's lock is the claim. Whoever writes to this log holds it, so a name is free again
    when its `up` and the last process of its worker are gone.
    """
    for name in names:
        node = f"{name}@{host}"
        log = (logs / f"{node}.log").open("ab")
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.close()
        else:
            return node, log
    raise AssertionError("names do not end")


def numbered(kind: str) -> Iterator[str]:
    """Yield `cpu0`, `cpu1` ..."""
    return (f"{kind}{number}" for number in itertools.count())
