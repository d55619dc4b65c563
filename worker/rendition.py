"""A rendition: the chunks of one job through the engine, their takes in order into one file."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from producer.job import EngineJob

from .engine.affinity import unpinned
from .engine.errors import ChunkTooLong, TakeCancelled
from .engine.request import ChunkRequest
from .guard import Guard, Judged
from .manifest import Doubt, Facts, Guarding
from .plan import Plan, Script
from .shared_takes import SharedTakes
from .speech import parts_of
from .stage_notes import TELLING_S, StageNotes
from .staged import Entry
from .take_source import OwnTakes, TakeSource

if TYPE_CHECKING:
    from .attempt import Attempt
    from .station import Station

#: Chunks of one job that are in the engine at the same time, in batches of its size: one is
#: computed while the next waits in line.
AHEAD_BATCHES: Final = 2

#: Part of what is ahead that is asked for together: who shares takes asks Redis each time.
ASKED_SHARE: Final = 1 / 16

#: From so many chunks on the thread of a job has all processors until its end, as each take means
#: work outside of the interpreter, and a thread that leaves the worker's own processor for each
#: takes longer: docs/benchmarks.md has by how much.
LONG_CHUNKS: Final = 8

#: How often a job of many chunks tells how many are done, and hears whether it is to end. Each
#: time is a round trip to Redis, and chapters have hundreds of chunks a second together.
PROGRESS_S: Final = 0.5


def render(
    station: Station,
    attempt: Attempt,
    job: EngineJob,
    plan: Plan,
    settle: Callable[[], None],
) -> Entry:
    """Bring `plan` into the store; `ClaimLost` if it has become somebody else's meanwhile."""
    offer, heard, notes = station.engine.offer(), _Heard(), StageNotes(attempt)
    with (
        plan.opened(station.volumes, notes.read) as script,
        processors_for(script),
        station.pressroom.stage(plan.key, job.output, plan.sample_rate_hz) as staged,
    ):
        source = _source(station, attempt, script, guarded=offer.guarded and plan.is_spoken)
        ahead = AHEAD_BATCHES * offer.slots
        tell = partial(notes.look, station)
        rendition = Rendition(source, script.chunks, script.count, ahead, tell)
        settle()
        attempt.when_cancelled(rendition.cancel)
        told = _Progress(attempt)
        for judged in rendition.takes():
            for block in judged.take.blocks():
                staged.write(block, judged.take.sample_rate_hz)
            heard.add(judged)
            station.retakes.add(judged.retakes)
            told.note(rendition.chunks, heard)
        station.claims.confirm(plan.key, attempt.claimant)
        return staged.commit(
            Facts(
                engine=offer.engine,
                model_revision=offer.revision,
                created_at=time.time(),
                job=job.model_dump(mode="json"),
                take_samples=tuple(heard.samples),
                reused=source.found,
                **heard.facts(),
                conversion=None if plan.target is None else {**plan.target.facts()},
            )
        )


def processors_for(script: Script) -> AbstractContextManager[None]:
    """Let this thread use the processors that its job asks for, meanwhile."""
    return unpinned() if script.count >= LONG_CHUNKS else nullcontext()


def _source(station: Station, attempt: Attempt, script: Script, *, guarded: bool) -> TakeSource:
    """Return where the takes come from; nothing is shared by a job of one chunk."""
    guard = Guard(station.engine, guarded=guarded)
    if station.sharing is None or not script.keys:
        return OwnTakes(guard)
    return SharedTakes(guard, station.sharing, attempt.claimant, script.keys)


@dataclass(slots=True)
class _Heard:
    """What has been heard of a job so far."""

    chunks: int = 0
    audio_s: float = 0.0
    waited_s: float = 0.0
    computed_s: float = 0.0
    retakes: int = 0
    trimmed_s: float = 0.0
    truncated: int = 0
    doubts: list[Doubt] = field(default_factory=list)
    #: Of each take.
    samples: list[int] = field(default_factory=list)

    def add(self, judged: Judged) -> None:
        take = judged.take
        self.chunks += 1
        self.samples.append(len(take.samples))
        self.audio_s += take.duration_s
        self.waited_s = max(self.waited_s, take.waited_s)
        self.computed_s += sum(one.computed_s for one in judged.takes)
        self.retakes += judged.retakes
        self.trimmed_s += take.trimmed_s
        self.truncated += take.truncated
        if judged.is_doubtful and judged.band is not None:
            self.doubts.append(
                Doubt(
                    chunk=self.chunks,
                    duration_s=round(take.duration_s, 3),
                    shortest_s=round(judged.band.shortest_s, 3),
                    longest_s=round(judged.band.longest_s, 3),
                    truncated=take.truncated,
                    **asdict(judged.quality),
                )
            )

    def facts(self) -> dict[str, Any]:
        guarding = Guarding(
            retakes=self.retakes,
            trimmed_s=round(self.trimmed_s, 3),
            truncated=self.truncated,
            doubts=tuple(self.doubts),
        )
        return {
            "chunks": self.chunks,
            "timings_s": {"waited": self.waited_s, "computed": self.computed_s},
            "guarding": guarding,
        }


@dataclass(slots=True)
class _Progress:
    """Tells how far a job of many chunks is, now and then; that may raise, to end it."""

    attempt: Attempt
    due_s: float = 0.0

    def note(self, chunks: int, heard: _Heard) -> None:
        if chunks > 1 and (now_s := time.monotonic()) >= self.due_s:
            self.attempt.progress(chunks, heard.chunks, heard.audio_s)
            self.due_s = now_s + PROGRESS_S


class Rendition:
    """Keeps some chunks ahead in the engine, so that it is never waited for, nor is memory.

    `takes` is read by one thread, `cancel` may be called by any.
    """

    def __init__(
        self,
        source: TakeSource,
        chunks: Iterable[ChunkRequest],
        count: int,
        ahead: int,
        tell: Callable[[ChunkRequest], None] | None = None,
    ) -> None:
        """`chunks` are `count`, taken when there is room for one more of the `ahead`.

        `tell` is called now and then with a long recording that is waited for.
        """
        self._source = source
        #: How many there are; one more whenever one turns out to be too long for the model.
        self.chunks = count
        self._left = iter(chunks)
        self._ahead_limit = ahead
        self._ahead: deque[tuple[ChunkRequest, Future[Judged]]] = deque()
        self._lock = threading.Lock()
        self._cancelled = False
        self._tell = tell
        self._ask()

    def takes(self) -> Iterator[Judged]:
        """Yield the takes in the order of the text; the first failure ends them all."""
        try:
            while self._ahead:
                request, verdict = self._ahead[0]
                self._source.settle(request)
                self._await(request, verdict)
                if isinstance(verdict.exception(), ChunkTooLong) and self._cut(request):
                    continue
                judged = verdict.result()
                with self._lock:
                    self._ahead.popleft()
                self._source.keep(request, judged)
                self._ask()
                yield judged
        finally:
            # After a failure the rest is of no use to anybody.
            self._withdraw()
            self._source.close()

    def _await(self, request: ChunkRequest, verdict: Future[Judged]) -> None:
        is_long = request.recording is not None and request.recording.is_long
        while self._tell is not None and is_long and not verdict.done():
            if verdict in wait([verdict], TELLING_S).not_done:
                self._tell(request)

    def cancel(self) -> None:
        """Take every chunk out of the engine; `takes` ends with `TakeCancelled`."""
        with self._lock:
            self._cancelled = True
        self._withdraw()

    def _ask(self) -> None:
        # What was cut took more room than it was given.
        room = max(0, self._ahead_limit - len(self._ahead))
        if self._ahead and room < self._ahead_limit * ASKED_SHARE:
            return
        wanted = list(islice(self._left, room))
        known = self._source.look(wanted)
        with self._lock:
            if self._cancelled:
                raise TakeCancelled("the job was cancelled")
            for request, verdict in zip(wanted, known, strict=True):
                self._ahead.append((request, verdict or self._source.submit(request)))

    def _cut(self, request: ChunkRequest) -> bool:
        """Put the parts of the next chunk in its place; False if it has none."""
        parts = parts_of(request)
        if not parts:
            return False
        with self._lock:
            if self._cancelled:
                raise TakeCancelled("the job was cancelled")
            self._ahead.popleft()
            asked = [(part, self._source.submit(part)) for part in parts]
            self._ahead.extendleft(reversed(asked))
        self.chunks += len(parts) - 1
        return True

    def _withdraw(self) -> None:
        with self._lock:
            pending = [request.id for request, future in self._ahead if not future.done()]
        for request_id in pending:
            self._source.cancel(request_id)
