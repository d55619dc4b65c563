"""The ledger: one Redis row a job, written before its message, and the truth about it.

Every change of state is one script in Redis (`transitions.py`), so that a row is always in
exactly one state, its time is known, the state's index agrees, and everyone who follows the
job is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from . import job as jobs
from .backlog import expected_s
from .errors import InvalidJob, JobNotFound
from .queues import DELIVERIES_KEY, QUEUE_OF, idempotency_key, job_key, state_key
from .state import JobState, may_follow
from .transitions import CHANGE, CREATE, NOTE, START, WITHDRAW

if TYPE_CHECKING:
    from redis import Redis

Field = str | int | float

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
        texts = ("node", "reason", "detail", "key", "file", "sha256")
        counts = (
            *("attempts", "losses", "chunks", "chunks_done", "reused", "retakes", "truncated"),
            *_SIZES,
        )
        seconds = ("audio_s", "duration_s", "trimmed_s")
        known: dict[str, Any] = {name: fields.get(name, "") for name in texts}
        known |= {name: int(fields.get(name, 0)) for name in counts}
        known |= {name: float(fields.get(name, 0)) for name in seconds}
        levels = ("rms_db", "peak_db")
        known |= {name: float(fields[name]) if fields.get(name) else None for name in levels}
        return cls(
            id=job_id,
            state=JobState(fields["state"]),
            encoded=fields.get("spec", ""),
            times=times,
            cancel_requested="cancel" in fields,
            **known,
        )


class Ledger:
    """Rows in Redis. Thread-safe. The clock is the caller's: every change takes `now_s`."""

    def __init__(self, redis: Redis, *, keep_s: float) -> None:
        self._redis = redis
        self._keep_s = int(keep_s)

    @cached_property
    def _create(self) -> Any:
        return self._redis.register_script(CREATE)

    @cached_property
    def _change(self) -> Any:
        return self._redis.register_script(CHANGE)

    @cached_property
    def _start(self) -> Any:
        return self._redis.register_script(START)

    @cached_property
    def _note(self) -> Any:
        return self._redis.register_script(NOTE)

    def create(self, job_id: str, job: jobs.AnyJob, now_s: float, idempotency: str = "") -> str:
        """Write a queued row; return its id, or the id that the idempotency key had before."""
        keys = [job_key(job_id), state_key(JobState.QUEUED)]
        if idempotency:
            keys.append(idempotency_key(idempotency))
        pairs = [part for pair in _opening(job, now_s).items() for part in pair]
        return str(self._create(keys=keys, args=[job_id, now_s, self._keep_s, *pairs]))

    def create_many(self, rows: Iterable[tuple[str, jobs.AnyJob]], now_s: float) -> None:
        """Write queued rows, `(id, job)` each, in one round trip: all or none."""
        with self._redis.pipeline(transaction=True) as pipe:
            queued: dict[str, float] = {}
            for job_id, job in rows:
                pipe.hset(job_key(job_id), mapping=_opening(job, now_s))
                queued[job_id] = now_s
            if queued:
                pipe.zadd(state_key(JobState.QUEUED), queued)
            pipe.execute()

    def withdraw(self, job_ids: Iterable[str], idempotency: str = "") -> None:
        """Take rows back whose messages could not be sent, unless a worker has begun."""
        index = state_key(JobState.QUEUED)
        more = [idempotency_key(idempotency)] if idempotency else []
        script = self._redis.register_script(WITHDRAW)
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                script(keys=[job_key(job_id), index, *more], args=[job_id], client=pipe)
            pipe.execute()

    def start(
        self, job_id: str, node: str, now_s: float, token: str, tag: str
    ) -> tuple[str, int] | None:
        """Give a job to the attempt `token` on `node`, which came with the message `tag`.

        Returns its encoded text, and how often it was lost: a job that is running when it
        starts has been left by a worker that vanished. None if it has ended, or runs by
        another message that is still delivered: then this message is one too many.
        """
        allowed = _listed(may_follow(JobState.RUNNING))
        args = [job_id, allowed, now_s, node, token, tag]
        found = self._start(keys=[job_key(job_id), DELIVERIES_KEY], args=args)
        if not found:
            raise JobNotFound(job_id)
        return (found[1], int(found[2])) if len(found) > 1 else None

    def change(
        self, job_id: str, target: JobState, now_s: float, *, token: str = "", **fields: Field
    ) -> bool:
        """Enter `target` with these fields; False if the job's state does not allow it.

        With a `token` it is also refused once another attempt has the job.
        """
        return self._move(job_id, target, now_s, fields, token=token)[1]

    def release(self, job_id: str, now_s: float) -> bool:
        """Queue a job that was held back; False if it was not. Its message is the caller's."""
        held = [JobState.WAITING_WINDOW]
        before, _ = self._move(job_id, JobState.QUEUED, now_s, {}, held)
        return before in held

    def cancel(self, job_id: str, now_s: float) -> JobState:
        """End a waiting job as cancelled, ask a running one to end; return the state after."""
        # The wish is written first: a job that starts in between sees it between two chunks.
        if self._redis.hget(job_key(job_id), "state") is None:
            raise JobNotFound(job_id)
        self._note(keys=[job_key(job_id)], args=["cancel", 1])
        waiting = [JobState.QUEUED, JobState.WAITING_WINDOW]
        before, _ = self._move(job_id, JobState.CANCELLED, now_s, {}, waiting)
        return JobState.CANCELLED if before in waiting else before

    def progress(self, job_id: str, chunks: int, chunks_done: int, audio_s: float) -> bool:
        """Note how far a job is; return whether somebody wants it cancelled."""
        fields = ["chunks", chunks, "chunks_done", chunks_done, "audio_s", audio_s]
        return bool(self._note(keys=[job_key(job_id)], args=fields))

    def row(self, job_id: str) -> JobRow:
        """Return one row, or raise `JobNotFound`."""
        fields: dict[Any, Any] = self._redis.hgetall(job_key(job_id))
        if "state" not in fields:
            raise JobNotFound(job_id)
        return JobRow.decode(job_id, fields)

    def states(self, job_ids: Sequence[str]) -> list[JobState | None]:
        """Return the present state of each job, None where no row is."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(job_key(job_id), "state")
            return [JobState(found) if found else None for found in pipe.execute()]

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state; ended ones for as long as they are kept."""
        with self._redis.pipeline(transaction=False) as pipe:
            for state in JobState:
                pipe.zcard(state_key(state))
            return dict(zip(JobState, pipe.execute(), strict=True))

    def recent(self, states: Iterable[JobState], limit: int) -> list[JobRow]:
        """Return the rows that entered one of `states` last, newest first."""
        found: list[Any] = []
        for state in states:
            found += self._redis.zrange(state_key(state), 0, limit - 1, desc=True, withscores=True)
        newest = sorted(found, key=lambda entry: entry[1], reverse=True)[:limit]
        return self._rows([job_id for job_id, _ in newest])

    def _rows(self, job_ids: Sequence[str]) -> list[JobRow]:
        """Return the rows of these jobs, without those that are not there."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hgetall(job_key(job_id))
            rows = zip(job_ids, pipe.execute(), strict=True)
        return [JobRow.decode(job_id, fields) for job_id, fields in rows if fields]

    def _move(
        self,
        job_id: str,
        target: JobState,
        now_s: float,
        fields: Mapping[str, Field],
        allowed: Iterable[JobState] = (),
        token: str = "",
    ) -> tuple[JobState, bool]:
        """Return the state before, and whether it was changed."""
        sources = _listed(allowed or may_follow(target))
        keep_s = self._keep_s if target.is_final else 0
        pairs = [part for pair in fields.items() for part in pair]
        args = [job_id, target.value, sources, now_s, keep_s, token, *pairs]
        found = self._change(keys=[job_key(job_id)], args=args)
        if not found:
            raise JobNotFound(job_id)
        return JobState(found[0]), bool(found[1])


def fields_of(job: jobs.AnyJob) -> dict[Any, Any]:
    """Return what a row says of its job; `class` and `speech_s` are what the backlog is read from.

    The queue is named where it does not follow from the class.
    """
    fields: dict[Any, Any] = {
        "spec": job.encode(),
        "class": job.priority.value,
        "speech_s": round(expected_s(job), 3),
    }
    return fields | ({} if job.queue == QUEUE_OF[job.priority] else {"queue": job.queue})


def _opening(job: jobs.AnyJob, now_s: float) -> dict[Any, Any]:
    """Return the fields of a new row."""
    return {"state": JobState.QUEUED.value, "at:queued": now_s, **fields_of(job)}


def _listed(states: Iterable[JobState]) -> str:
    """Return what the scripts look a state up in."""
    return "," + ",".join(states) + ","
