"""An attempt: one delivery of one job, which ends in exactly one state whatever happens."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

import redis
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_logger

from producer.assemble_job import AssembleJob
from producer.errors import InvalidJob, JobFailed, JobNotFound, UnsupportedSchema
from producer.job import AnyJob, EngineJob, decode
from producer.ledger import Field, Ledger
from producer.state import JobState, Reason

from .claims import Claimant
from .engine.errors import EngineClosed, EngineError, TakeCancelled
from .errors import ClaimLost, PoisonJob, TimeLimitReached, WorkerError
from .job_request import HAND_BACK, OVERTIME
from .pool import terminable
from .quarantine import Treatment, treatment
from .staged import Entry

if TYPE_CHECKING:
    from .station import Station

logger = get_logger(__name__)


class Attempt:
    """The ledger's side of running a job: started, on its way, and ended once.

    Used as a context. An error inside becomes the job's state and reason, and then what
    Celery needs to hear: the message is acknowledged, or goes back if the worker is closing.
    """

    def __init__(self, station: Station, job_id: str, tag: str) -> None:
        """`tag` is the delivery tag of the message that it came with."""
        self._station = station
        self.job_id = job_id
        self._tag = tag
        # No secret, so it is drawn without a call of the system, which would cost the interpreter.
        self._token = f"{random.getrandbits(48):012x}"
        #: Names this attempt in the engine, of all attempts of the farm.
        self.id = f"{job_id}.{self._token}"
        #: Names it in claims.
        self.claimant = Claimant(tag, station.leases.holder, self.id)
        self._lost = False
        self._cancelled = threading.Event()
        self._handed_back = False
        self._is_overtime = False
        self._on_cancel: Callable[[], None] = lambda: None
        self._terminable = terminable(self._terminate)
        self._place = ExitStack()

    def __enter__(self) -> Self:
        self._terminable.__enter__()
        self._station.attempts.add(self)
        self._station.leases.when_lost(self._tag, self._lose)
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        self._terminable.__exit__(None, None, None)
        self._station.attempts.discard(self)
        with self._place:
            if isinstance(error, Exception):
                self._end(error)

    def start(self) -> EngineJob:
        """Enter `running` and return the job; `Ignore` if it has ended meanwhile.

        A job that was lost with its workers waits until it is alone in this one, and is
        refused with `PoisonJob` if that has not helped.
        """
        job = self._started()
        if isinstance(job, AssembleJob):
            raise InvalidJob("kind", "an assembly is no engine's work")
        return job

    def start_assembly(self) -> AssembleJob:
        """Do what `start` does for a book."""
        job = self._started()
        if not isinstance(job, AssembleJob):
            raise InvalidJob("kind", f"{job.kind} is no assembly")
        return job

    def assemble(self) -> None:
        """Enter `assembling`."""
        self._change(JobState.ASSEMBLING)

    def _started(self) -> AnyJob:
        solitude = self._station.solitude
        self._place.enter_context(solitude.company(lambda: not self.cancelled))
        encoded, losses = self._claim()
        match treatment(losses):
            case Treatment.QUARANTINE:
                raise PoisonJob(f"{losses} workers died while they ran it, the last ones alone")
            case Treatment.ALONE:
                logger.warning("job=%s losses=%d runs alone", self.job_id, losses)
                # Whoever waits is not running: if the worker dies now, it was not this job.
                self._change(JobState.QUEUED)
                self._place.close()
                self._place.enter_context(solitude.alone(lambda: not self.cancelled))
                encoded, _ = self._claim()
        return decode(encoded)

    def _claim(self) -> tuple[str, int]:
        started = self._station.ledger.start(
            self.job_id, self._station.node, time.time(), self._token, self._tag
        )
        if started is None:
            raise Ignore(f"job {self.job_id} has ended, or runs by another message")
        return started

    def progress(
        self,
        chunks: int,
        chunks_done: int,
        audio_s: float,
        *,
        stage: str = "",
        stage_share: float = 0.0,
    ) -> None:
        """Note how far the job is, and end it if somebody has asked for that."""
        far = (chunks, chunks_done, audio_s)
        if self._station.ledger.progress(self.job_id, *far, stage=stage, stage_share=stage_share):
            self.cancel()
        if self._cancelled.is_set():
            raise TakeCancelled("the job was cancelled")

    def done(self, entry: Entry) -> None:
        """Enter `done`, or `suspicious`, with the facts of the file."""
        file = entry.manifest
        guarding = file.guarding
        self._change(
            JobState.SUSPICIOUS if file.doubt else JobState.DONE,
            detail=file.doubt,
            retakes=guarding.retakes,
            trimmed_s=guarding.trimmed_s,
            truncated=guarding.truncated,
            file=entry.path,
            key=file.content_key,
            chunks=file.chunks,
            chunks_done=file.chunks,
            reused=file.reused,
            audio_s=file.duration_s,
            rms_db="" if file.rms_db is None else file.rms_db,
            peak_db="" if file.peak_db is None else file.peak_db,
            duration_s=file.duration_s,
            samples=file.samples,
            sample_rate_hz=file.sample_rate_hz,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
        )

    @property
    def cancelled(self) -> bool:
        """True once somebody has asked for the job's end."""
        return self._cancelled.is_set()

    def when_cancelled(self, action: Callable[[], None]) -> None:
        """Have `action` called, in another thread, to stop the work that is under way."""
        self._on_cancel = action
        if self.cancelled:
            action()

    def cancel(self) -> None:
        """Stop the work; callable from any thread."""
        self._cancelled.set()
        self._on_cancel()

    def abandon(self, ledger: Ledger) -> None:
        """Hand the job back without waiting for the work to end; its message is the caller's.

        The worker stops, and the engine is in the middle of a step or hangs.
        """
        ledger.change(self.job_id, JobState.QUEUED, time.time(), token=self._token)

    def _lose(self) -> None:
        """Stop without a word: the job is somebody else's now."""
        self._lost = True
        self.cancel()

    def _terminate(self, signal: int | None) -> None:
        self._handed_back = self._handed_back or signal == HAND_BACK
        self._is_overtime = signal == OVERTIME and not self.cancelled
        self.cancel()

    def _end(self, error: Exception) -> None:
        """File `error` as the job's end, and raise what Celery must hear."""
        if isinstance(error, TakeCancelled) and self._is_overtime:
            error = TimeLimitReached("the job ran longer than a job may")
        match error:
            case Ignore() | Reject():
                return
            case _ if self._lost:
                raise Ignore(f"job {self.job_id} runs elsewhere, or will") from None
            case TakeCancelled() if not self._handed_back:
                self._change(JobState.CANCELLED)
                raise Ignore(f"job {self.job_id} was cancelled") from None
            case EngineClosed() | TakeCancelled() | ClaimLost():
                self._change(JobState.QUEUED)
                raise Reject(str(error), requeue=True) from None
            case redis.ConnectionError() | redis.TimeoutError():
                # The broker's trouble is no fault of the job: it runs again.
                logger.warning("job=%s goes back: %s", self.job_id, error)
                with suppress(redis.RedisError):
                    self._change(JobState.QUEUED)
                raise Reject(str(error), requeue=True) from None
            case JobNotFound():
                logger.error("job=%s has no row in the ledger; its message is dropped", self.job_id)
                raise Ignore(str(error)) from None
        reason = _reason(error)
        if reason is Reason.INTERNAL:
            logger.error("job=%s failed", self.job_id, exc_info=error)
        detail = str(error) or type(error).__name__
        self._change(JobState.FAILED, reason=reason.value, detail=detail)
        raise JobFailed(self.job_id, reason, detail) from error

    def _change(self, state: JobState, **fields: Field) -> None:
        changed = self._station.ledger.change(
            self.job_id, state, time.time(), token=self._token, **fields
        )
        if not changed:
            logger.info("job=%s had ended before it became %s", self.job_id, state)
        logger.debug("job=%s state=%s", self.job_id, state)


def _reason(error: Exception) -> Reason:
    if isinstance(error, UnsupportedSchema):
        return Reason.UNSUPPORTED_SCHEMA
    if isinstance(error, InvalidJob):
        return Reason.INVALID_JOB
    if isinstance(error, (EngineError, WorkerError)):
        return Reason(error.reason)
    return Reason.INTERNAL
