"""A row of the ledger: what is known about one job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from . import job as jobs
from .errors import InvalidJob
from .state import JobState

#: Whole numbers that say how large a file is.
_SIZES: Final = ("sample_rate_hz", "samples", "size_bytes")


@dataclass(frozen=True, slots=True)
class JobRow:
    """What the ledger knows about one job."""

    id: str
    state: JobState
    encoded: str
    #: Epoch seconds at which each state was entered last.
    times: Mapping[JobState, float] = field(default_factory=dict)
    node: str = ""
    reason: str = ""
    detail: str = ""
    attempts: int = 0
    #: How often its worker vanished while it ran.
    losses: int = 0
    chunks: int = 0
    chunks_done: int = 0
    #: Chunks whose takes were there already.
    reused: int = 0
    #: Seconds of audio computed so far.
    audio_s: float = 0.0
    #: What is done with a long recording while its job runs, and how much of that is done, 0 .. 1.
    stage: str = ""
    stage_share: float = 0.0
    key: str = ""
    #: The output, relative to the farm's home.
    file: str = ""
    duration_s: float = 0.0
    sample_rate_hz: int = 0
    samples: int = 0
    size_bytes: int = 0
    sha256: str = ""
    #: Takes that were thrown away for another one, seconds of run-on tails that were cut off,
    #: and chunks that met the model's limit.
    retakes: int = 0
    trimmed_s: float = 0.0
    truncated: int = 0
    #: How loud the file is, and its loudest sample; None of what an older worker wrote. [dB of
    #: full scale]
    rms_db: float | None = None
    peak_db: float | None = None
    cancel_requested: bool = False

    @property
    def job(self) -> jobs.AnyJob | None:
        """The job as it was asked for; None if another version wrote it."""
        try:
            return jobs.decode(self.encoded)
        except InvalidJob:
            return None

    @property
    def ran_s(self) -> float | None:
        """Seconds of its last run; None if it never began or has not ended."""
        begun_s, ended_s = self.times.get(JobState.RUNNING), self.times.get(self.state)
        if begun_s is None or ended_s is None or not self.state.is_final:
            return None
        return max(0.0, ended_s - begun_s)

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of audio a second of its last run; None where there is no audio."""
        if not self.ran_s or not self.state.has_output:
            return None
        return round(self.duration_s / self.ran_s, 2)

    @classmethod
    def decode(cls, job_id: str, fields: Mapping[str, str]) -> JobRow:
        """Read a row's Redis hash."""
        times = {
            JobState(name.removeprefix("at:")): float(value)
            for name, value in fields.items()
            if name.startswith("at:")
        }
        texts = ("node", "reason", "detail", "stage", "key", "file", "sha256")
        counts = (
            *("attempts", "losses", "chunks", "chunks_done", "reused", "retakes", "truncated"),
            *_SIZES,
        )
        numbers = ("audio_s", "duration_s", "trimmed_s", "stage_share")
        known: dict[str, Any] = {name: fields.get(name, "") for name in texts}
        known |= {name: int(fields.get(name, 0)) for name in counts}
        known |= {name: float(fields.get(name, 0)) for name in numbers}
        levels = ("rms_db", "peak_db")
        known |= {name: float(fields[name]) if fields.get(name) else None for name in levels}
        state = JobState(fields["state"])
        if state is not JobState.RUNNING:
            known |= {"stage": "", "stage_share": 0.0}
        return cls(
            id=job_id,
            state=state,
            encoded=fields.get("spec", ""),
            times=times,
            cancel_requested="cancel" in fields,
            **known,
        )
