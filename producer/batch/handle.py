"""One batch of the farm: a handle, all it says is asked anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import BatchNotFound, JobNotFound, WaitTimeout
from ..intake import take_in
from ..job import new_job_id
from ..job_handle import Job
from ..job_row import JobRow
from ..state import JobState
from .account import book_id_of
from .archive import Archive, completed
from .batch_row import BatchRow
from .book import book_job_of
from .book_outcome import book_facts, prove_book
from .estimate import PLAIN, Estimate
from .ledger import BatchLedger, ItemRow
from .outlook import read_outlook
from .proof import Flaw, Proof, prove
from .report import Report, report
from .schedule import Schedule

if TYPE_CHECKING:
    from ..client import VoiceFarm

#: How often a batch that is waited for is asked.
LOOK_S: Final = 0.5


class Batch:
    """A batch by its id, submitted here or elsewhere."""

    def __init__(self, farm: VoiceFarm, batch_id: str) -> None:
        self._farm = farm
        self.id = batch_id

    def __repr__(self) -> str:
        return f"Batch({self.id!r})"

    @property
    def ledger(self) -> BatchLedger:
        """The rows of all batches."""
        return batch_ledger(self._farm)

    @property
    def archive(self) -> Archive:
        """The batch as it was written to the volume at its end."""
        return Archive(self._farm.volumes, self.id)

    def row(self) -> BatchRow:
        """Return who asked for it, when it may run and how far it is, or raise `BatchNotFound`.

        What the ledger has forgotten is told as the volume has it, if it can be seen from here.
        """
        try:
            with self._farm.broker.reachable():
                return self.ledger.row(self.id)
        except BatchNotFound:
            if archived := self.archive.row():
                return archived
            raise

    def progress(self, timeout_s: float | None = None) -> Iterator[BatchRow]:
        """Yield what is known, now and again after each change, until all items have ended.

        Stops quietly when the time is over.
        """
        deadline_s = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        seen: BatchRow | None = None
        while True:
            row = self.row()
            if row != seen:
                seen = row
                yield row
            if row.has_ended or time.monotonic() >= deadline_s:
                return
            time.sleep(max(0.0, min(LOOK_S, deadline_s - time.monotonic())))

    def wait(self, timeout_s: float | None = None) -> BatchRow:
        """Wait until all items have ended; `WaitTimeout` leaves the batch running."""
        *_, row = self.progress(timeout_s)
        if not row.has_ended:
            state = f"at {row.ended} of {row.items} items"
            raise WaitTimeout(self.id, timeout_s or 0.0, state)
        return row

    def items(self) -> Iterator[ItemRow]:
        """Yield every item in the order of the input, with the row of its job; see `row`."""
        try:
            with self._farm.broker.reachable():
                yield from completed(self.ledger.items(self.id), self.archive)
        except BatchNotFound:
            if self.archive.row() is None:
                raise
            yield from self.archive.items()

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield one plain line an item, in the order of the input, whatever has become of it."""
        for item in self.items():
            yield result_line(item, self._farm.volumes.locate)

    def report(self) -> Report:
        """Read every item, and return what became of them and of the book, added up."""
        told = report(self.row(), self.items())
        if (book := self._book_row()) is not None:
            told.book = book_facts(book, self._farm.volumes)
        return told

    def verify(self) -> list[Flaw]:
        """Read every file again; return those that are missing or not what they were."""
        return list(self.flaws(Proof()))

    def flaws(self, proof: Proof) -> Iterator[Flaw]:
        """Do what `verify` does, one flaw at a time; `proof` counts on the way."""
        yield from prove(self.items(), self._farm.volumes, proof)
        if (book := self._book_row()) is not None:
            yield from prove_book(book, self._farm.volumes, proof)

    def _book_row(self) -> JobRow | None:
        """Return the row of the book that was asked for with it; None if it is not known."""
        if not self.row().becomes_book:
            return None
        try:
            return self.book.row()
        except JobNotFound:
            return None

    def assemble(self, **fields: Any) -> Job:
        """Queue a book of what the batch has, and return its job; `fields` are `AssembleJob`'s.

        Title, author and cover are those of the source if they are not said.
        """
        job = book_job_of(self.row(), self._farm.volumes, fields)
        return Job(self._farm, take_in(self._farm.broker, self._farm.ledger, new_job_id(), job))

    @property
    def book(self) -> Job:
        """The job of the book that was asked for with the batch; it waits for the last item."""
        return Job(self._farm, book_id_of(self.id))

    def jobs(self) -> Iterator[Job]:
        """Yield the job of every item that the ledger still knows, in order."""
        for item in self.items():
            if item.job is not None:
                yield Job(self._farm, item.job.id)

    def estimate(self) -> Estimate:
        """Return when it will be done, if all that other batches ask for is done meanwhile.

        The answer is unknown until the farm has measured how fast it is.
        """
        row = self.row()
        if row.has_ended:
            return Estimate(0.0, None, None, True)
        return estimate_of_work(self._farm, row.schedule, 0.0, row.path)

    def pause(self) -> None:
        """Feed none of it any more, and take back what is queued; what runs goes on."""
        with self._farm.broker.reachable():
            self.ledger.mark(self.id, "paused", wanted=True)

    def resume(self) -> None:
        """Feed it again."""
        with self._farm.broker.reachable():
            self.ledger.mark(self.id, "paused", wanted=False)

    def cancel(self) -> bool:
        """End what has not begun; what runs goes on. False if the batch had ended before."""
        ended = self.row().has_ended
        with self._farm.broker.reachable():
            self.ledger.mark(self.id, "cancelled", wanted=True)
        return not ended


def batch_ledger(farm: VoiceFarm) -> BatchLedger:
    """Return the rows of all batches of a farm."""
    return BatchLedger(farm.broker.redis, keep_s=farm.settings.keep_days * 86400)


def estimate_of_work(
    farm: VoiceFarm, schedule: Schedule, work_s: float, path: str = PLAIN
) -> Estimate:
    """Return when `work_s` of audio are done if all that is asked for already is done too."""
    with farm.broker.reachable():
        return read_outlook(farm.broker.redis, time.time()).of_work(schedule, work_s, path)


def result_line(item: ItemRow, locate: Any = Path) -> dict[str, Any]:
    """Return what has become of one item, plain enough for JSON; null is not there."""
    row = item.job
    if row is None:
        return {"custom_id": item.custom_id or None, "number": item.number, "state": None}
    return {
        "custom_id": item.custom_id or None,
        "number": item.number,
        "chapter": item.chapter or None,
        "id": row.id,
        "state": row.state.value,
        "path": str(locate(row.file)) if row.file else None,
        "duration_s": row.duration_s or None,
        "samples": row.samples or None,
        "sample_rate_hz": row.sample_rate_hz or None,
        "size_bytes": row.size_bytes or None,
        "sha256": row.sha256 or None,
        "reason": row.reason or None,
        "detail": row.detail or None,
        "attempts": row.attempts,
        "rms_db": row.rms_db,
        "peak_db": row.peak_db,
        "real_time_factor": row.real_time_factor,
        "retakes": row.retakes,
        "chunks": row.chunks or None,
        "reused": row.reused,
        "ended_at_s": row.times.get(row.state) if row.state.is_final else None,
    }


def has_audio(line: dict[str, Any]) -> bool:
    """True for the line of an item that has a file."""
    return line["state"] in (JobState.DONE, JobState.SUSPICIOUS)
