"""The futures of all the chunks that an engine holds. The first answer to each counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from .errors import EngineError, TakeCancelled
from .lifecycle import Facts
from .request import Sound, Take
from .unread import Unread


class _Promise(NamedTuple):
    future: Future[Take]
    made_s: float


class Promises:
    """Thread-safe. Futures are answered on the caller's thread, with no lock held."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Promise] = {}
        self.takes = 0
        self.failed = 0
        self.audio_s = 0.0
        #: Of the takes that were given out.
        self.unread = Unread()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._open

    def make(self, request_id: str) -> Future[Take]:
        """Return a new future. Raises `ValueError` while there is one for this id."""
        future: Future[Take] = Future()
        # Only the engine ends it: `Future.cancel` would leave the row in the batch.
        future.set_running_or_notify_cancel()
        with self._lock:
            if request_id in self._open:
                raise ValueError(f"{request_id!r} is already in the engine")
            self._open[request_id] = _Promise(future, self._clock())
        return future

    def keep(self, request_id: str, sound: Sound, native_rate_hz: int, computed_s: float) -> None:
        """Answer with a take; nothing happens if it was answered before."""
        with self._lock:
            promise = self._open.pop(request_id, None)
            if promise is None:
                return
            waited_s = max(0.0, self._clock() - promise.made_s - computed_s)
            take = Take(
                # What is in a file is not in memory.
                sound.samples if sound.file else self.unread.counted(sound.samples),
                sound.sample_rate_hz or native_rate_hz,
                waited_s,
                computed_s,
                sound.trimmed_s,
                sound.truncated,
                sound.file,
            )
            self.takes += 1
            self.audio_s += take.duration_s
        promise.future.set_result(take)

    def fail(self, request_id: str, error: EngineError) -> None:
        """Answer with an error; nothing happens if it was answered before."""
        with self._lock:
            promise = self._open.pop(request_id, None)
            if promise is None:
                return
            self.failed += not isinstance(error, TakeCancelled)
        promise.future.set_exception(error)

    def facts(self) -> Facts:
        """Return how many were answered so far, and with how much audio."""
        return {"takes": self.takes, "failed": self.failed, "audio_s": round(self.audio_s, 3)}

    def fail_all(self, error: EngineError) -> None:
        """Answer all that are open, each with an error of its own that says the same."""
        for request_id in tuple(self._open):
            self.fail(request_id, error.again())
