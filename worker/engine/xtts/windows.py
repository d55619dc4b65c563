"""Which pieces of an utterance the vocoder computes, and what it keeps of each.

A sample depends on a limited stretch of frames. So a long utterance is computed in windows of
one width that overlap; of each window only what had all its frames around it is kept, and
nothing is lost by it. The first window begins at the true beginning, the last one ends at the
true end. Nothing is ever padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: How far a sample sees, in frames to each side: 12.7 (measured on the published shapes).
HALO_FRAMES: Final = 13


@dataclass(frozen=True, slots=True)
class Window:
    """Frames `start .. start + width` are computed, `keep_from .. keep_to` are kept."""

    start: int
    width: int
    keep_from: int
    keep_to: int


def plan(frames: int, widths: Sequence[int]) -> list[Window]:
    """Return the windows of an utterance, in order. Their kept parts follow one another.

    The widest of `widths` that fits is taken. An utterance shorter than all of them is one
    window of its own width. It depends on nothing but the utterance.
    """
    width = max((width for width in widths if width <= frames), default=frames)
    windows = []
    kept = 0
    while kept < frames:
        start = min(max(0, kept - HALO_FRAMES), frames - width)
        end = start + width
        keep_to = frames if end == frames else end - HALO_FRAMES
        windows.append(Window(start, width, kept, keep_to))
        kept = keep_to
    return windows
