"""A job as its producer sees it: a handle, followed and cancelled by its id."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .errors import JobCancelled, JobFailed, VolumeUnavailable, WaitTimeout
from .job import decode
from .job_row import JobRow
from .retrying import free
from .state import JobState

if TYPE_CHECKING:
    from .client import VoiceFarm


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    chunks_done: int
    #: 0 until a worker has split the text.
    chunks: int
    #: Seconds of audio computed so far.
    audio_s: float
    #: What is done with a long recording at the moment: `checking`, `reading`, `pitch`,
    #: `converting` or `finishing`, and how much of that is done, 0 .. 1. Empty for all else.
    stage: str = ""
    stage_share: float = 0.0

    @classmethod
    def of(cls, row: JobRow) -> Self:
        """Read a row."""
        return cls(row.chunks_done, row.chunks, row.audio_s, row.stage, row.stage_share)


@dataclass(frozen=True, slots=True)
class SpeechResult:
    """The file that a job became."""

    path: Path
    duration_s: float
    sample_rate_hz: int
    samples: int
    size_bytes: int
    sha256: str
    #: Why the job is `suspicious`, empty if it is `done`.
    doubt: str = ""


class Job:
    """One job of the farm: a handle, all it says is asked anew."""

    def __init__(self, farm: VoiceFarm, job_id: str) -> None:
        self._farm = farm
        self.id = job_id

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def row(self) -> JobRow:
        """Return all the ledger knows, or raise `JobNotFound`."""
        with self._farm.broker.reachable():
            return self._farm.ledger.row(self.id)

    @property
    def status(self) -> JobState:
        """The present state."""
        return self.row().state

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        return Progress.of(self.row())

    def wait(self, timeout_s: float | None = None) -> JobState:
        """Wait until the job has ended and return how; `WaitTimeout` leaves it running."""
        for _, state in self._farm.follow([self.id], timeout_s):
            return state
        raise WaitTimeout(self.id, timeout_s or 0.0, self.status)

    def result(self, timeout_s: float | None = None) -> SpeechResult:
        """Wait for the file; raise `JobFailed`, `JobCancelled` or `WaitTimeout`."""
        self.wait(timeout_s)
        row = self.row()
        if row.state is JobState.CANCELLED:
            raise JobCancelled(self.id)
        if not row.state.has_output:
            raise JobFailed(self.id, row.reason, row.detail)
        return SpeechResult(
            path=self._farm.volumes.locate(row.file),
            duration_s=row.duration_s,
            sample_rate_hz=row.sample_rate_hz,
            samples=row.samples,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            doubt=row.detail,
        )

    @property
    def path(self) -> Path:
        """The audio file, waited for; `VolumeUnavailable` if it cannot be seen from here."""
        path = self.result().path
        if not path.is_file():
            raise VolumeUnavailable(str(path), "is not to be seen from here")
        return path

    def cancel(self) -> bool:
        """Ask for the job's end; False if it had ended before.

        A waiting job is cancelled at once, a running one leaves its batch between two steps.
        """
        with self._farm.broker.reachable():
            state = self._farm.ledger.cancel(self.id, time.time())
        if state.is_final and state is not JobState.CANCELLED:
            return False
        self._farm.broker.revoke(self.id)
        return True

    def retry(self) -> bool:
        """Queue a failed job again, as it was asked for; False if it has not failed.

        Raises `UnsupportedSchema` if another version wrote it.
        """
        job = decode(self.row().encoded)
        with self._farm.broker.reachable():
            before = free(self._farm.broker.redis, self.id, time.time())
        if before is JobState.FAILED:
            self._farm.broker.send([(self.id, job)])
        return before is JobState.FAILED
