"""The ledger: one Redis row a job, written before its message, and the truth about it.

Every change of state is one script in Redis (`transitions.py`), so that a row is always in
exactly one state, its time is known, the state's index agrees, and everyone who follows the
job is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import job as jobs
from .backlog import expected_s
from .errors import JobNotFound
from .job_row import JobRow
from .queues import DELIVERIES_KEY, QUEUE_OF, idempotency_key, job_key, state_key
from .state import JobState, may_follow
from .transitions import CHANGE, CREATE, NOTE, START, WITHDRAW

if TYPE_CHECKING:
    from redis import Redis

Field = str | int | float


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

    def progress(
        self,
        job_id: str,
        chunks: int,
        chunks_done: int,
        audio_s: float,
        *,
        stage: str = "",
        stage_share: float = 0.0,
    ) -> bool:
        """Note how far a job is; return whether somebody wants it cancelled.

        A long chunk goes through stages, and `stage_share` of the present one is done.
        """
        fields = ["chunks", chunks, "chunks_done", chunks_done, "audio_s", audio_s]
        if stage:
            fields += ["stage", stage, "stage_share", stage_share]
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
