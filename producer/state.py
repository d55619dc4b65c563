"""The closed vocabulary of what can become of a job, and how it gets there.

The ledger, the CLI, Flower, the metrics and the reports all use these words.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache


class JobState(StrEnum):
    """Every job is in exactly one of these."""

    QUEUED = "queued"
    WAITING_WINDOW = "waiting_window"
    RUNNING = "running"
    ASSEMBLING = "assembling"
    DONE = "done"
    SUSPICIOUS = "suspicious"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True when no later change can come."""
        return not TRANSITIONS[self]

    @property
    def has_output(self) -> bool:
        """True when an audio file of the job is on the volume."""
        return self in (JobState.DONE, JobState.SUSPICIOUS)


_ENDS = frozenset(
    {JobState.DONE, JobState.SUSPICIOUS, JobState.FAILED, JobState.CANCELLED},
)

#: From each state, the states that may follow. `running -> running` is a redelivery
#: after a lost worker, `running -> queued` is a worker that hands its job back.
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: _ENDS | {JobState.RUNNING, JobState.WAITING_WINDOW},
    JobState.WAITING_WINDOW: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: _ENDS | {JobState.RUNNING, JobState.ASSEMBLING, JobState.QUEUED},
    JobState.ASSEMBLING: _ENDS | {JobState.RUNNING, JobState.QUEUED},
    JobState.DONE: frozenset(),
    JobState.SUSPICIOUS: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


@cache
def may_follow(target: JobState) -> tuple[JobState, ...]:
    """Return the states from which `target` may be entered, in declaration order."""
    return tuple(state for state in JobState if target in TRANSITIONS[state])


class Reason(StrEnum):
    """Why a job ended as `failed`: words a person can act on."""

    INVALID_JOB = "invalid_job"
    UNSUPPORTED_SCHEMA = "unsupported_schema"
    UNKNOWN_VOICE = "unknown_voice"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    UNSUPPORTED_FEATURE = "unsupported_feature"
    UNFIT_AUDIO = "unfit_audio"
    UNFIT_VOICE = "unfit_voice"
    BAD_CHECKPOINT = "bad_checkpoint"
    VOLUME_MISSING = "volume_missing"
    VOLUME_READ_ONLY = "volume_read_only"
    VOLUME_FULL = "volume_full"
    OUT_OF_MEMORY = "out_of_memory"
    ENGINE_FAILED = "engine_failed"
    POISON = "poison"
    TIME_LIMIT = "time_limit"
    ITEMS_MISSING = "items_missing"
    INTERNAL = "internal"
