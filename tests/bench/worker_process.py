"""A Celery worker of the benchmark: started, frozen while jobs are queued, stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from producer.child_process import child_environment, leashed
from worker.config import WorkerSettings

CHECKOUT: Final = Path(__file__).parents[2]

#: What every worker is started with, as `voicefarm up` does.
FLAGS: Final = ("-E", "--without-gossip", "--without-mingle", "--loglevel=INFO")

#: How long a worker may take to finish what it has when it is stopped.
STOP_TIMEOUT_S: Final = 30.0

#: Lines of its log that stand for the whole of it in an error.
_TAIL_LINES: Final = 15

#: What the environment says of another farm is not for ours.
_NO_SETTINGS: Final = {f"VOICEFARM_{name.upper()}": None for name in WorkerSettings.model_fields}


class WorkerEnded(Exception):
    """The worker ended while it was measured."""


class WorkerProcess:
    """As a context manager: started inside, gone behind."""

    def __init__(self, arguments: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                leashed(sys.executable, "-m", "celery", *arguments, *FLAGS),
                cwd=CHECKOUT,
                env=child_environment(**(_NO_SETTINGS | environment)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C in the terminal is for the benchmark, which stops its workers.
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise `WorkerEnded`, with the end of the log, if it does not run any more."""
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            code = self._process.returncode
            raise WorkerEnded("\n".join([f"the worker ended with status {code}:", *tail]))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process where it is, so that it costs nothing and takes nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
