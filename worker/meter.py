"""How fast this worker is while it has work: seconds of audio a second, after warm-up. Pure."""

from __future__ import annotations

from typing import Final

#: After this much work nothing is loaded, compiled or captured any more.
WARM_UP_S: Final = 10.0

#: A rate counts once so much work was seen, and later work counts for more the longer ago it is.
ENOUGH_S: Final = 10.0
MEMORY_S: Final = 300.0


class Meter:
    """Adds up what is made between two looks at which there was work."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._warm_s = 0.0
        self._audio_s = 0.0
        self._time_s = 0.0

    def look(self, now_s: float, audio_s: float, *, busy: bool) -> None:
        """Take the seconds of audio that were made since the engine started.

        `busy` says that more work waits: otherwise the worker may have been idle in between. A
        smaller number than before is another engine's.
        """
        last, self._last = self._last, (now_s, audio_s) if busy else None
        if last is None or not busy or audio_s < last[1] or now_s <= last[0]:
            return
        span_s, made_s = now_s - last[0], audio_s - last[1]
        if self._warm_s < WARM_UP_S:
            self._warm_s += span_s
            return
        fade = max(0.0, 1 - span_s / MEMORY_S)
        self._audio_s = self._audio_s * fade + made_s
        self._time_s = self._time_s * fade + span_s

    @property
    def rate(self) -> float | None:
        """Seconds of audio a second; None until enough work was seen."""
        return self._audio_s / self._time_s if self._time_s >= ENOUGH_S else None
