"""`status`, `wait` and `cancel` for what is a batch and no job."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import JobNotFound, WaitTimeout
from .batch_words import facts_of_batch, has_failures, lines_of_batch
from .exit_codes import ExitCode
from .output import Output
from .records import facts_of, failure_of, span

if TYPE_CHECKING:
    from ..batch.batch_row import BatchRow
    from ..batch.handle import Batch
    from ..client import Job
    from .waiting import Wait

#: Between two lines of progress where there is no terminal: a night has a few thousand.
PROGRESS_S: Final = 10.0


def tell_batch(batch: Batch, output: Output) -> None:
    """Say all about a batch."""
    row, estimate = batch.row(), batch.estimate()
    facts, lines = facts_of_batch(row, estimate), lines_of_batch(row, estimate)
    if row.becomes_book:
        book = _book_of(batch)
        facts["book"] = book
        lines.append(f"book      {book['id']} {book['state'] or 'forgotten'}")
    output.data(facts, "\n".join(lines))


def _book_of(batch: Batch) -> dict[str, str | None]:
    """Return the id and the state of the book that was asked for with a batch."""
    try:
        return {"id": batch.book.id, "state": batch.book.status.value}
    except JobNotFound:
        return {"id": batch.book.id, "state": None}


def wait_for_batch(batch: Batch, wait: Wait) -> ExitCode:
    """Wait until a batch has ended, with a live line on a terminal; say how it ended."""
    output, begun_s = wait.output, time.monotonic()
    try:
        row = _followed(batch, wait)
    except KeyboardInterrupt:
        if wait.cancel_on_interrupt:
            batch.cancel()
            output.error(f"cancelled {batch.id}; what runs is finished")
        else:
            output.error(f"the batch goes on: `voicefarm wait {batch.id}` waits again")
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    if not row.has_ended:
        state = f"at {row.ended} of {row.items} items"
        output.error(str(WaitTimeout(batch.id, wait.timeout_s or 0.0, state)))
        return ExitCode.TIMED_OUT
    told = ", ".join(f"{count:,} {state}" for state, count in row.counts.items() if count)
    output.data(facts_of_batch(row, batch.estimate()), f"{batch.id} {told}")
    code = ExitCode.FAILED if has_failures(row) else ExitCode.GOOD
    return max(code, _wait_for_book(batch, wait, begun_s)) if row.becomes_book else code


def _wait_for_book(batch: Batch, wait: Wait, begun_s: float) -> ExitCode:
    """Wait for the book that was asked for with a batch, for what is left of the time."""
    ended: list[ExitCode] = []

    def tell(job: Job) -> None:
        row = job.row()
        wait.output.data(facts_of(row, wait.farm.volumes), f"{row.id} {row.state.value}")
        if failure := failure_of(row):
            wait.output.error(str(failure))
            ended.append(ExitCode.FAILED)

    left_s = wait.timeout_s
    if left_s is not None:
        left_s = max(0.0, left_s - (time.monotonic() - begun_s))
    code = replace(wait, timeout_s=left_s).until_ended([batch.book], tell)
    return max([code, *ended])


def _followed(batch: Batch, wait: Wait) -> BatchRow:
    begun_s = told_s = time.monotonic()
    first: BatchRow | None = None
    wanted = not wait.no_progress
    with wait.output.bar(wanted=wanted) as bar:
        for row in batch.progress(wait.timeout_s):
            now_s, first = time.monotonic(), first or row
            rate = (first.left_s - row.left_s) / max(now_s - begun_s, 1.0)
            bar(_words(row, rate), row.ended, row.items)
            if now_s - told_s >= PROGRESS_S:
                told_s = now_s
                wait.output.progress(_facts(row, rate), wanted=wanted)
    return row


def _words(row: BatchRow, rate: float) -> str:
    """Return what a live line says before its numbers."""
    words = [f"{row.failed} failed"] if row.failed else []
    if rate > 0:
        words += [f"{rate:.1f}x real time", f"{span(row.left_s / rate)} to go"]
    return ", ".join(words) or "items"


def _facts(row: BatchRow, rate: float) -> dict[str, Any]:
    """Return the same for programs; null is unknown."""
    return {
        "id": row.id,
        "done": row.ended,
        "total": row.items,
        "failed": row.failed,
        "real_time_factor": round(rate, 2) if rate > 0 else None,
        "eta_s": round(row.left_s / rate) if rate > 0 else None,
    }
