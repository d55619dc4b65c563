"""A rendition: the chunks of one job through the engine, their takes in order into one file."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from producer.job import AnyJob

from .engine.errors import TakeCancelled
from .engine.request import ChunkRequest, Take
from .engine.service import SpeechEngine
from .manifest import Facts
from .speech import SpeechPlan
from .store import Entry

if TYPE_CHECKING:
    from .attempt import Attempt
    from .station import Station

#: Chunks of one job that are in the engine at the same time, in batches of its size: one is
#: computed while the next waits in line.
AHEAD_BATCHES: Final = 2


def render(
    station: Station,
    attempt: Attempt,
    job: AnyJob,
    plan: SpeechPlan,
    settle: Callable[[], None],
) -> Entry:
    """Speak `plan` into the store. A claim of its key is renewed with every take."""
    offer = station.engine.offer()
    waited_s, computed_s, audio_s = 0.0, 0.0, 0.0
    with station.store.stage(plan.key, job.output, offer.sample_rate_hz) as staged:
        rendition = Rendition(station.engine, plan.chunks, ahead=AHEAD_BATCHES * offer.slots)
        settle()
        attempt.when_cancelled(rendition.cancel)
        for done, take in enumerate(rendition.takes(), start=1):
            staged.write(take.samples, take.sample_rate_hz)
            waited_s = max(waited_s, take.waited_s)
            computed_s += take.computed_s
            audio_s += take.duration_s
            if len(plan.chunks) > 1:
                attempt.progress(len(plan.chunks), done, audio_s)
                station.claims.renew(plan.key)
        return staged.commit(
            Facts(
                engine=offer.engine,
                model_revision=offer.revision,
                created_at=time.time(),
                job=job.model_dump(mode="json"),
                timings_s={"waited": waited_s, "computed": computed_s},
            )
        )


class Rendition:
    """Keeps some chunks ahead in the engine, so that it is never waited for, nor is memory.

    `takes` is read by one thread, `cancel` may be called by any.
    """

    def __init__(self, engine: SpeechEngine, chunks: Sequence[ChunkRequest], ahead: int) -> None:
        self._engine = engine
        self._left = deque(chunks)
        self._ahead_limit = ahead
        self._ahead: deque[tuple[ChunkRequest, Future[Take]]] = deque()
        self._lock = threading.Lock()
        self._cancelled = False
        self._ask()

    def takes(self) -> Iterator[Take]:
        """Yield the takes in the order of the text; the first failure ends them all."""
        try:
            while self._ahead:
                take = self._ahead[0][1].result()
                with self._lock:
                    self._ahead.popleft()
                self._ask()
                yield take
        finally:
            # After a failure the rest is of no use to anybody.
            self._withdraw()

    def cancel(self) -> None:
        """Take every chunk out of the engine; `takes` ends with `TakeCancelled`."""
        with self._lock:
            self._cancelled = True
        self._withdraw()

    def _ask(self) -> None:
        with self._lock:
            if self._cancelled:
                raise TakeCancelled("the job was cancelled")
            while self._left and len(self._ahead) < self._ahead_limit:
                request = self._left.popleft()
                self._ahead.append((request, self._engine.submit(request)))

    def _withdraw(self) -> None:
        with self._lock:
            pending = [request.id for request, future in self._ahead if not future.done()]
        for request_id in pending:
            self._engine.cancel(request_id)
