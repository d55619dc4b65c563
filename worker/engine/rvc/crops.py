"""Which frames of an utterance the decoder computes, and what is kept of them.

Only a part of the frames is wanted: an utterance was padded so that its ends sound right. A
sample depends on few frames to each side, the halo. So the decoder computes the wanted frames
and the halo, long ones in several crops, and nothing is lost by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Crop:
    """Frames `start .. start + width` are computed, `keep_from .. keep_to` are kept."""

    start: int
    width: int
    keep_from: int
    keep_to: int


def plan(
    frames: int, keep_from: int, keep_to: int, *, halo: int, widest: int, grain: int
) -> list[Crop]:
    """Return the crops of an utterance of `frames`, in order; their kept parts follow one another.

    They are about equally long, at most `widest` unless the halo asks for more, and multiples of
    `grain` where the utterance has so many frames, so that crops of many utterances have the same
    width. They depend on nothing but the utterance.
    """
    wanted = keep_to - keep_from
    if wanted <= 0:
        return []
    count = math.ceil(wanted / max(1, widest - 2 * halo))
    width = math.ceil((math.ceil(wanted / count) + 2 * halo) / grain) * grain
    width = min(width, frames)
    crops = []
    kept = keep_from
    while kept < keep_to:
        start = min(max(0, kept - halo), frames - width)
        end = start + width
        # At the true end nothing is missing behind the last frame.
        to = keep_to if end == frames else min(keep_to, end - halo)
        crops.append(Crop(start, width, kept, to))
        kept = to
    return crops
