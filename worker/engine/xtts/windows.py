"""Which pieces of an utterance the vocoder computes, and what it keeps of each.

A sample depends on a limited stretch of frames. So a long utterance is computed in windows of
few widths that overlap; of each window only what had all its frames around it is kept, and
nothing is lost by it. The first window begins at the true beginning, the last one ends at the
true end, or beyond it where the network takes what lies there as nothing (see `fitted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
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

    As many of the widest of `widths` as fit, and for the rest the one or two that cover it with
    the fewest frames. An utterance shorter than all of them is one window of its own width. It
    depends on nothing but the utterance.
    """
    fitting = sorted((width for width in widths if width <= frames), reverse=True)
    if not fitting:
        return [Window(0, frames, 0, frames)] if frames else []
    # What a window adds to what the others keep. The two ends of the utterance need no halo.
    count, rest = divmod(frames - 2 * HALO_FRAMES, fitting[0] - 2 * HALO_FRAMES)
    return _in_a_row(frames, (*(fitting[:1] * count), *_covering(rest, fitting)))


def alike(frames: int, widths: Sequence[int]) -> list[Window]:
    """Return windows of one width alone, the widest that fits, so that they share one batch.

    An utterance shorter than all of them is one window of its own width.
    """
    fitting = [width for width in widths if width <= frames]
    return plan(frames, [max(fitting)] if fitting else ())


def fitted(frames: int, widths: Sequence[int]) -> list[Window]:
    """Return the windows of an utterance where one may reach beyond its end.

    One that fits as closely as `widths` has it; for a longer utterance as many of one width as
    fit, and one for the rest. It depends on nothing but the utterance.
    """
    if not frames:
        return []
    enough = [width for width in widths if width >= frames]
    if enough:
        return [Window(0, min(enough), 0, frames)]
    choices = [_equal_and_rest(frames - 2 * HALO_FRAMES, width, widths) for width in widths]
    return _in_a_row(frames, min(choices, key=_cost))


def _in_a_row(frames: int, widths: Sequence[int]) -> list[Window]:
    """Return windows of these widths, in order; each keeps all that it can and is not kept yet."""
    windows: list[Window] = []
    kept = 0
    for width in widths:
        start = min(max(0, kept - HALO_FRAMES), frames - width)
        end = start + width
        keep_to = frames if end == frames else end - HALO_FRAMES
        windows.append(Window(start, width, kept, keep_to))
        kept = keep_to
    return windows


def _equal_and_rest(frames: int, width: int, widths: Sequence[int]) -> tuple[int, ...]:
    """Return `width` as often as it adds no more than `frames`, and the one that adds the rest."""
    count, rest = divmod(frames, width - 2 * HALO_FRAMES)
    last = [other for other in widths if other - 2 * HALO_FRAMES >= rest]
    return (*([width] * count), *([min(last)] if rest else []))


def _covering(frames: int, widths: Sequence[int]) -> tuple[int, ...]:
    """Return the widths, one or two, that add at least `frames` at the least cost."""
    if not frames:
        return ()
    choices = (
        choice
        for count in (1, 2)
        for choice in combinations_with_replacement(widths, count)
        if sum(width - 2 * HALO_FRAMES for width in choice) >= frames
    )
    return min(choices, key=_cost)


def _cost(widths: Sequence[int]) -> tuple[int, int]:
    """Return what to have as little of as can be."""
    return sum(widths), len(widths)
