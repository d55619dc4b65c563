"""Pieces of recordings end to end in one line of frames, where none hears the others.

A network that halves time again and again, and whose convolutions reach one frame to each side at
every level, sees behind a piece what it would see there if the piece were alone: at least one frame
of zeros. So one line takes the place of a batch, and its width is all that there is of a shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .filled_sizes import filled


@dataclass(frozen=True, slots=True)
class Line:
    """Where each piece is, in frames. Pieces begin and end at multiples of `unit`."""

    #: The frames of each piece, not aligned.
    frames: tuple[int, ...]
    #: What the network makes one frame of at its deepest level.
    unit: int
    width: int

    @classmethod
    def of(cls, frames: Sequence[int], unit: int, *, few_widths: bool) -> Line:
        """Return the line of pieces; with `few_widths` it is filled up to one of few."""
        used = sum(_aligned(count, unit) for count in frames) + (len(frames) - 1) * unit
        return cls(tuple(frames), unit, filled(used, unit) if few_widths else used)

    @property
    def spans(self) -> list[slice]:
        """Where each piece is, aligned."""
        found, start = [], 0
        for count in self.frames:
            found.append(slice(start, start + _aligned(count, self.unit)))
            start = found[-1].stop + self.unit
        return found

    @property
    def is_full(self) -> bool:
        """True if one piece, aligned, is all that there is."""
        return bool(self.spans[0].stop == self.width)

    def heard(self) -> npt.NDArray[np.float32]:
        """Return what is 1 in the frames of pieces and 0 elsewhere, [width]."""
        found = np.zeros(self.width, np.float32)
        for span, count in zip(self.spans, self.frames, strict=True):
            found[span.start : span.start + count] = 1
        return found

    def inside(self) -> npt.NDArray[np.float32]:
        """Return the same of the aligned pieces, [width]."""
        found = np.zeros(self.width, np.float32)
        for span in self.spans:
            found[span] = 1
        return found


def lines_of(frames: Sequence[int], unit: int, most: int) -> list[list[int]]:
    """Return which pieces share a line of at most `most` frames; a longer one is alone.

    The longest come first, each in the first line with room for it.
    """
    lines: list[list[int]] = []
    used: list[int] = []
    for place in sorted(range(len(frames)), key=lambda place: -frames[place]):
        needed = _aligned(frames[place], unit) + unit
        found = next((at for at, taken in enumerate(used) if taken + needed <= most + unit), None)
        if found is None:
            lines.append([])
            used.append(0)
            found = len(lines) - 1
        lines[found].append(place)
        used[found] += needed
    return lines


def _aligned(frames: int, unit: int) -> int:
    return -(-frames // unit) * unit
