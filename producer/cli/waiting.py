"""Waiting for jobs, as a person sees it: a bar, a word when nobody listens, and Ctrl-C."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import BrokerRefused, WaitTimeout
from ..overview import is_served
from ..queues import QUEUES
from .exit_codes import ExitCode
from .options import Command
from .output import Bar, Output

if TYPE_CHECKING:
    from ..client import Job, VoiceFarm
    from ..job_row import JobRow

#: How often the bar of one job is drawn anew; the bar of many moves when one of them ends.
_REFRESH_ONE_S: Final = 0.5
_REFRESH_MANY_S: Final = 5.0

#: After this long without an end it is worth the second it takes to ask who listens.
_DOUBT_S: Final = 3.0


def somebody_listens(farm: VoiceFarm, *queues: str) -> bool:
    """Return whether a worker of these queues, of any if none is named, answers.

    True too if this user may not ask, as a producer.
    """
    try:
        return is_served(farm.workers(), queues or QUEUES)
    except BrokerRefused:
        return True


@dataclass(frozen=True)
class Wait:
    """How a command waits."""

    farm: VoiceFarm
    output: Output
    timeout_s: float | None
    no_progress: bool
    cancel_on_interrupt: bool

    def until_ended(self, jobs: Sequence[Job], tell: Callable[[Job], None]) -> ExitCode:
        """Call `tell` with each job as it ends; say which have not when the time is over.

        Ctrl-C ends the command: it says which jobs go on, or cancels them if so asked.
        """
        pending = {job.id: job for job in jobs}
        # Lines of data on the same terminal show the progress of many jobs by themselves.
        wanted = not self.no_progress and (len(jobs) == 1 or not sys.stdout.isatty())
        with self._interruptible(pending), self.output.bar(wanted=wanted) as bar:
            self._follow(pending, tell, bar)
        for job in pending.values():
            self.output.error(str(WaitTimeout(job.id, self.timeout_s or 0.0, job.status)))
        return ExitCode.TIMED_OUT if pending else ExitCode.GOOD

    def _follow(self, pending: dict[str, Job], tell: Callable[[Job], None], bar: Bar) -> None:
        total = len(pending)
        refresh_s = _REFRESH_ONE_S if total == 1 else _REFRESH_MANY_S
        started_s = time.monotonic()
        deadline_s = started_s + (float("inf") if self.timeout_s is None else self.timeout_s)
        doubted = False
        while pending:
            step_s = max(0.0, min(refresh_s, deadline_s - time.monotonic()))
            for job_id, _ in self.farm.follow(list(pending), step_s):
                tell(pending.pop(job_id))
                bar("jobs", total - len(pending), total)
            if not pending or time.monotonic() >= deadline_s:
                return
            if total == 1:
                show(bar, next(iter(pending.values())).row())
            if not doubted and time.monotonic() - started_s > _DOUBT_S:
                doubted = True
                self._tell_if_nobody_listens()

    def _tell_if_nobody_listens(self) -> None:
        if not somebody_listens(self.farm):
            self.output.note(
                "no worker is listening; the work waits until one is started (`voicefarm up`)"
            )

    @contextmanager
    def _interruptible(self, pending: dict[str, Job]) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            ids = " ".join(pending)
            if self.cancel_on_interrupt:
                for job in pending.values():
                    job.cancel()
                self.output.error(f"cancelled {ids}")
            else:
                self.output.error(f"the work goes on: `voicefarm wait {ids}` waits again")
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def show(bar: Bar, row: JobRow) -> None:
    """Show how far one job is: its chunks, or the stage of a long recording."""
    if row.stage:
        bar(row.stage, round(100 * row.stage_share), 100)
    else:
        bar(row.state.value, row.chunks_done, row.chunks)


def wait_options(function: Command) -> Command:
    """Call `function(farm, output, wait=...)`."""

    @click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="In seconds.")
    @click.option("--no-progress", is_flag=True, help="No progress bar.")
    @click.option("--cancel-on-interrupt", is_flag=True, help="Ctrl-C also cancels the work.")
    @functools.wraps(function)
    def wired(
        farm: VoiceFarm,
        output: Output,
        timeout_s: float | None,
        no_progress: bool,
        cancel_on_interrupt: bool,
        **rest: Any,
    ) -> Any:
        wait = Wait(farm, output, timeout_s, no_progress, cancel_on_interrupt)
        return function(farm, output, wait=wait, **rest)

    return wired
