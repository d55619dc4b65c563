"""The guard: a take whose length does not fit its text is taken again, with another seed.

So is one that is mostly silence, is clipped, or says its last words over and over.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from producer.content_key import content_key, seed_of

from .engine.errors import TakeCancelled
from .engine.request import ChunkRequest, Take
from .engine.service import SpeechEngine
from .pace import Band, band_of
from .quality import Quality, measure

#: Decides which take is kept, together with the bands.
RETAKES: Final = 2


def retake_seed(seed: int, retake: int) -> int:
    """Return the seed of the first, second .. retake of a take: the same on every worker."""
    return seed if retake == 0 else seed_of(content_key(seed=seed, retake=retake))


@dataclass(frozen=True)
class Judged:
    """All the takes of one chunk, in order, and the lengths that are in order for its text."""

    takes: tuple[Take, ...]
    #: None where nothing is guarded: then every take is good.
    band: Band | None

    @cached_property
    def take(self) -> Take:
        """The take to be heard: the first good one, else the one that errs least."""
        return self.takes[self._best]

    @property
    def quality(self) -> Quality:
        """What was measured of that take; of what is not guarded nothing is."""
        return self._qualities[self._best]

    @property
    def is_doubtful(self) -> bool:
        """True if not one of the takes is good."""
        return self._fault(self._best) > (False, 1.0)

    @property
    def retakes(self) -> int:
        """How often the chunk was taken again."""
        return len(self.takes) - 1

    @property
    def is_final(self) -> bool:
        """True if the chunk is not to be taken again."""
        return not self.is_doubtful or self.retakes >= RETAKES

    @cached_property
    def _best(self) -> int:
        return min(range(len(self.takes)), key=self._fault)

    @cached_property
    def _qualities(self) -> tuple[Quality, ...]:
        return tuple(_measured(take, self.band) for take in self.takes)

    def _fault(self, place: int) -> tuple[bool, float]:
        if self.band is None:
            return False, 1.0
        take = self.takes[place]
        excess = max(self.band.excess(take.duration_s), self._qualities[place].excess)
        return take.truncated, excess


def _measured(take: Take, band: Band | None) -> Quality:
    if band is None:
        return Quality()
    # Who says its last words again takes longer than usual.
    tail = take.duration_s > band.longest_s / 2
    return measure(take.samples, take.sample_rate_hz, tail=tail)


@dataclass(slots=True)
class _Trial:
    """One chunk on its way to a verdict."""

    request: ChunkRequest
    band: Band | None
    takes: tuple[Take, ...] = ()
    verdict: Future[Judged] = field(default_factory=Future)


class Guard:
    """Stands before an engine, for one job. Every method may be called by any thread."""

    def __init__(self, engine: SpeechEngine, *, guarded: bool) -> None:
        """With `guarded` false every take is good."""
        self._engine = engine
        self._guarded = guarded
        # So that no cancel falls between a take and its retake, where the engine has neither.
        self._lock = threading.Lock()
        self._cancelled: set[str] = set()

    def submit(self, request: ChunkRequest) -> Future[Judged]:
        """Ask for a chunk. The future ends as the engine's does; a doubtful take is no error."""
        trial = _Trial(request, self.band(request))
        trial.verdict.set_running_or_notify_cancel()
        self._try(trial)
        return trial.verdict

    def band(self, request: ChunkRequest) -> Band | None:
        """Return the lengths that are in order for a chunk; None if every one is."""
        if not self._guarded:
            return None
        return band_of(request.text, request.language, request.speed)

    def cancel(self, request_id: str) -> None:
        """Take a chunk out of the engine, and never ask for it again."""
        with self._lock:
            self._cancelled.add(request_id)
            self._engine.cancel(request_id)

    def _try(self, trial: _Trial) -> None:
        request = trial.request
        seed = retake_seed(request.seed, len(trial.takes))
        with self._lock:
            if request.id in self._cancelled:
                trial.verdict.set_exception(TakeCancelled("the chunk was cancelled"))
                return
            future = self._engine.submit(replace(request, seed=seed))
        future.add_done_callback(lambda taken: self._judge(trial, taken))

    def _judge(self, trial: _Trial, taken: Future[Take]) -> None:
        """Runs on the engine's thread, where an error would be lost: it ends the trial."""
        try:
            trial.takes += (taken.result(),)
            judged = Judged(trial.takes, trial.band)
            if judged.is_final:
                trial.verdict.set_result(judged)
            else:
                self._try(trial)
        # Whatever it is: the future is the only place where it can be told.
        except Exception as error:  # noqa: BLE001
            trial.verdict.set_exception(error)
