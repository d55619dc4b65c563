"""The backlog: how much speech waits, in seconds of audio. Scaling and metrics read it.

It is read from the ledger's indexes and from a sample of its rows, not from counters: a
counter that is wrong once stays wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .job import AnyJob, SpeechJob
from .queues import Priority, job_key, state_key
from .state import JobState

if TYPE_CHECKING:
    from redis import Redis

#: Rows that are looked at. So few jobs are counted exactly, more are estimated from a draw.
SAMPLE_ROWS: Final = 200

#: Characters that are spoken in a second, for planning alone: real takes differ by a half.
CHARS_PER_S: Final = 15.0

#: The same where one character is a syllable or a word.
CHARS_PER_S_OF: Final = {"zh": 4.5, "cmn": 4.5, "yue": 4.5, "ja": 7.0, "ko": 6.0}

#: What a job counts whose row does not say.
UNKNOWN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits and what runs."""

    #: Waiting jobs, and the seconds of audio that they will be, by class.
    jobs: Mapping[Priority, int]
    audio_s: Mapping[Priority, float]
    running: int = 0
    #: How long the job has waited that waits longest; 0 if none does.
    oldest_age_s: float = 0.0

    @property
    def waiting_jobs(self) -> int:
        """Waiting jobs of all classes."""
        return sum(self.jobs.values())

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait, of all classes."""
        return sum(self.audio_s.values())


def expected_s(job: AnyJob) -> float:
    """Return about how many seconds of audio a job will be."""
    if not isinstance(job, SpeechJob):
        return UNKNOWN_S
    per_s = CHARS_PER_S_OF.get(job.language.partition("-")[0], CHARS_PER_S)
    return len(job.text) / per_s / job.speed


def read_backlog(redis: Redis, now_s: float) -> Backlog:
    """Ask the ledger, in two round trips; `redis` returns text."""
    queued = state_key(JobState.QUEUED)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zcard(queued)
        pipe.zcard(state_key(JobState.RUNNING))
        pipe.zrange(queued, 0, 0, withscores=True)
        pipe.zrandmember(queued, SAMPLE_ROWS)
        waiting, running, oldest, drawn = pipe.execute()
    with redis.pipeline(transaction=False) as pipe:
        for job_id in drawn:
            pipe.hmget(job_key(job_id), "class", "speech_s")
        jobs, audio_s = _scaled(pipe.execute(), waiting)
    age_s = max(0.0, now_s - oldest[0][1]) if oldest else 0.0
    return Backlog(jobs, audio_s, running, age_s)


def _scaled(
    rows: Sequence[Sequence[Any]], waiting: int
) -> tuple[dict[Priority, int], dict[Priority, float]]:
    """Return jobs and audio by class, from a draw of rows to all that wait."""
    counts, audio_s = dict.fromkeys(Priority, 0), dict.fromkeys(Priority, 0.0)
    for name, speech_s in rows:
        priority = Priority(name) if name else Priority.BATCH
        counts[priority] += 1
        audio_s[priority] += float(speech_s or UNKNOWN_S)
    factor = waiting / len(rows) if rows else 0.0
    jobs = {priority: round(count * factor) for priority, count in counts.items()}
    return jobs, {priority: total * factor for priority, total in audio_s.items()}
