"""Notes in a job's row on what is done with its long recording, and how much of that is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .engine.long_work import fact_of
from .engine.progress import Progress

if TYPE_CHECKING:
    from .attempt import Attempt
    from .engine.request import ChunkRequest
    from .station import Station

#: How often a job tells how far its long recording is.
TELLING_S: Final = 5.0


class StageNotes:
    """Those of one attempt. Each may end it with `TakeCancelled`, if somebody wants that."""

    def __init__(self, attempt: Attempt, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempt = attempt
        self._clock = clock
        self._noted_s = clock()

    def look(self, station: Station, request: ChunkRequest) -> None:
        """Note how far the engine is with a recording, which is the only chunk of its job."""
        told = station.engine.snapshot().get(fact_of(request.id))
        if told and request.recording is not None:
            far = Progress.decode(str(told))
            self._note(far, far.converted_share * request.recording.duration_s)

    def read(self, far: Progress) -> None:
        """Note how far the worker's own reading is, if the last note was a while ago."""
        now_s = self._clock()
        if now_s - self._noted_s >= TELLING_S:
            self._noted_s = now_s
            self._note(far, 0.0)

    def _note(self, far: Progress, converted_s: float) -> None:
        self._attempt.progress(
            1, 0, converted_s, stage=far.stage.value, stage_share=round(far.share, 3)
        )
