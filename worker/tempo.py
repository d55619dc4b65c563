"""The tempo of a worker: seconds of audio that it computes in a second, while it has work.

It shows what happens now, and half-idle time is a part of that. What a farm may promise for a night
is measured by `meter.py`: behind the warm-up, and only while work waits.
"""

from __future__ import annotations

import math
from typing import Final

#: What was so long ago counts a third; only time with work counts.
MEMORY_S: Final = 30.0


class Tempo:
    """A rate that forgets. Pure: the clock is the caller's."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        self._audio_s = 0.0
        self._busy_s = 0.0

    @property
    def real_time_factor(self) -> float | None:
        """Times real time; None before anything was computed."""
        if not self._audio_s or not self._busy_s:
            return None
        return self._audio_s / self._busy_s

    def note(self, now_s: float, audio_s: float, *, busy: bool) -> None:
        """Note the audio that was computed so far, and whether there is work now."""
        if self._before is not None:
            then_s, had_s = self._before
            passed_s, done_s = now_s - then_s, max(0.0, audio_s - had_s)
            # Time in which nothing was done and nothing is to be done says nothing.
            if busy or done_s:
                kept = math.exp(-passed_s / MEMORY_S)
                self._audio_s = self._audio_s * kept + done_s
                self._busy_s = self._busy_s * kept + passed_s
        self._before = now_s, audio_s
