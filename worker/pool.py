"""The pool: threads that grow and shrink, for tasks that only wait.

Celery's own `threads` pool dies of `--autoscale` (it cannot grow), ignores `terminate` and
waits for busy threads without a limit when it stops. This one follows the pool contract of
Celery 5.7 and is set in the app's configuration, so that a plain `celery -A tasks worker
--autoscale=MAX,MIN` works.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool, apply_target
from celery.utils.log import get_logger
from celery.worker import state as celery_state

from .job_request import HAND_BACK, OVERTIME
from .time_limits import TimeLimits

logger = get_logger(__name__)

#: How long a warm stop waits for running tasks, unless the app's configuration says
#: otherwise (`worker_drain_s`).
DEFAULT_DRAIN_S: Final = 60.0

#: How long a stop waits for tasks that were told to hand their jobs back.
HAND_BACK_S: Final = 1.0

#: How often a stop looks whether it is to hurry: a signal handler can only leave word.
HURRY_LOOK_S: Final = 0.1

#: Ends a task from outside; it is told by which signal, as a process would be.
Terminate = Callable[[int | None], None]

#: What can end a running task, by the thread that runs it.
_terminators: dict[int, Terminate] = {}


@contextmanager
def terminable(terminate: Terminate) -> Iterator[None]:
    """Inside a task: `terminate` is called, in another thread, to end it from outside."""
    thread = threading.get_ident()
    _terminators[thread] = terminate
    try:
        yield
    finally:
        del _terminators[thread]


class TaskPool(BasePool):  # type: ignore[misc]
    """Threads started on demand, up to a limit that may change while they run."""

    #: Celery keeps undecoded message bodies where the task runs in this process.
    body_can_be_buffer = True
    #: Stopping takes locks, so it is no business of a signal handler.
    signal_safe = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._busy = 0
        self._stopping = False
        self._hurried = False
        self._handed_back_s: float | None = None
        self._limits = TimeLimits()

    @property
    def num_processes(self) -> int:
        """How many tasks may run at the same time now."""
        return int(self.limit)

    def grow(self, n: int = 1) -> None:
        """Let `n` more tasks run."""
        with self._changed:
            self.limit += n
            for _ in range(min(n, len(self._waiting))):
                self._start_thread()

    def shrink(self, n: int = 1) -> None:
        """Let `n` fewer tasks run; `ValueError` if that many threads are busy."""
        with self._changed:
            if self._busy > self.limit - n:
                raise ValueError(f"{self._busy} of {self.limit} threads are busy")
            self.limit -= n
            self._changed.notify_all()

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> None:
        """Run `target` in a thread as soon as one is free, and end it when its time is over."""
        ended = _Ended(callback)
        limit_s = timeout or soft_timeout or self.options.get("timeout")

        def run() -> None:
            # The thread stands in for the process id: `terminate_job` finds the task by it.
            thread = threading.get_ident()
            with self._limits.within(limit_s, lambda: self.terminate_job(thread, OVERTIME)):
                try:
                    apply_target(target, args, kwargs, ended, accept_callback, thread)
                except Exception:
                    logger.exception("a task failed outside of its own code")
                    ended.without_a_word()

        with self._changed:
            self._waiting.append(run)
            if self._threads - self._busy < len(self._waiting):
                self._start_thread()
            self._changed.notify()

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """End the task that runs in thread `pid`, if it has said how."""
        terminate = _terminators.get(pid)
        if terminate is not None:
            terminate(signal)

    def hurry(self) -> None:
        """Have a stop that is under way hand everything back now; a signal handler may call."""
        self._hurried = True

    def on_stop(self) -> None:
        """Let running tasks finish within the limit; the rest goes back, as what waits does."""
        drain_s = float(self.app.conf.get("worker_drain_s", DEFAULT_DRAIN_S))
        self._drain(time.monotonic() + drain_s, lambda: self._hurried or _is_cold())
        self._hand_back()

    def on_terminate(self) -> None:
        """Stop at once: tasks are told to end and get a moment to say so, no more."""
        self._hand_back()

    def _get_info(self) -> dict[str, Any]:
        return {**super()._get_info(), "threads": self._threads, "busy": self._busy}

    def _hand_back(self) -> None:
        """Tell every task to hand its job back, and wait for it; one moment however often."""
        for terminate in list(_terminators.values()):
            terminate(HAND_BACK)
        self._handed_back_s = self._handed_back_s or time.monotonic() + HAND_BACK_S
        self._drain(self._handed_back_s, lambda: False)
        if self._busy:
            logger.warning("%s tasks still run; their messages go back", self._busy)

    def _drain(self, deadline_s: float, is_over: Callable[[], bool]) -> None:
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
            while self._busy and (left_s := deadline_s - time.monotonic()) > 0 and not is_over():
                self._changed.wait(min(left_s, HURRY_LOOK_S))

    def _start_thread(self) -> None:
        if self._threads < self.limit and not self._stopping:
            self._threads += 1
            threading.Thread(target=self._work, name=f"task-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        """Run tasks until the pool stops or has become smaller than its threads."""
        has_run = False
        while (run := self._next(has_run)) is not None:
            has_run = True
            try:
                run()
            except Exception:
                # A task's own error never arrives here: it went to the callback.
                logger.exception("a task's callback failed")

    def _next(self, has_run: bool) -> Callable[[], None] | None:
        """Wait for a task, after one that has run or none; None if the thread is to end."""
        with self._changed:
            if has_run:
                self._busy -= 1
                # Only a stop waits for this; every idle thread would wake up in vain.
                if self._stopping:
                    self._changed.notify_all()
            while not self._waiting and not self._stopping and self._threads <= self.limit:
                self._changed.wait()
            if self._stopping or self._threads > self.limit:
                self._threads -= 1
                self._changed.notify_all()
                return None
            self._busy += 1
            return self._waiting.popleft()


class _Ended:
    """A task's callback, told in any case: who is not told holds the message for ever."""

    def __init__(self, callback: Callable[..., Any] | None) -> None:
        self._callback = callback
        self._is_told = False

    def __call__(self, result: Any) -> None:
        self._is_told = True
        if self._callback is not None:
            self._callback(result)

    def without_a_word(self) -> None:
        """The task has ended with the present exception, and has not said so."""
        if not self._is_told:
            self((True, ExceptionInfo(), 0.0))


def _is_cold() -> bool:
    """True once Celery stops without waiting; 0 would be an exit code."""
    return celery_state.should_terminate not in (None, False)
