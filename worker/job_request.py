"""Celery's request of a job, which knows a revoked job from a worker that stops at once."""

from __future__ import annotations

import signal
from typing import Any, Final

from celery.exceptions import InvalidTaskError
from celery.worker.request import Request

from producer.job import is_job_id

#: What a task hears when its worker stops without waiting: its job goes back, unchanged.
#: Any other signal is somebody's wish to end the job.
HAND_BACK: Final = signal.SIGQUIT

#: What a task hears when its time is over.
OVERTIME: Final = signal.SIGXCPU


class JobRequest(Request):  # type: ignore[misc]
    """Named by our tasks as their `Request`.

    Celery ends a task by `terminate` when it is revoked and by `cancel` at a cold stop. Both
    reach the pool as a signal, so they must be two different ones: a job that is cancelled
    ends for good, and a job whose worker stops must run again.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        """Raise `InvalidTaskError` for a message that names our task and is not ours."""
        super().__init__(message, **options)
        match message.payload:
            case [[str(job_id)], dict(kwargs), dict()] if is_job_id(job_id) and not kwargs:
                return
        raise InvalidTaskError("it must have one job's id as its only argument")

    def cancel(self, pool: Any, signal: int | None = None, emit_retry: bool = True) -> None:
        """Stop the task because the worker stops; its message is not acknowledged."""
        super().cancel(pool, signal=HAND_BACK, emit_retry=emit_retry)
