"""Which stretches of a recording are converted, and what is kept of each. Plain numbers.

A stretch is up to 40 s between two cuts, and a second more at each end, so that what is kept has
all its surroundings. Lengths are those of the peers: the content encoder loses up to 20 ms at an
end, and in `compat` the output loses them too. In `exact` what is behind the kept part makes up
for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .content import frames_of
from .splitting import FRAME


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples `start .. end` of the padded recording, and frames of 10 ms counted from `start`."""

    start: int
    end: int
    #: How many frames there are, and which of them are kept.
    frames: int
    keep: tuple[int, int]

    @property
    def first_frame(self) -> int:
        """Where it begins in the curve of pitch."""
        return self.start // FRAME


def stretches(samples: int, pad: int, cuts: Sequence[int], *, exact: bool) -> list[Stretch]:
    """Return the stretches of a recording of `samples`, padded by `pad` at both ends, in order.

    Something is kept of each of them; there may be none, if the recording is too short.
    """
    total = samples + 2 * pad
    planned = []
    for start, end in zip([0, *cuts], [*cuts, None], strict=True):
        stop = total if end is None else end + 2 * pad + FRAME
        curve = (total if end is None else end + 2 * pad) // FRAME - start // FRAME
        frames = min((stop - start) // FRAME, 2 * frames_of(stop - start), curve)
        first = pad // FRAME
        last = frames - first
        if exact:
            last = first - (start - (samples if end is None else end)) // FRAME
        if last > first:
            planned.append(Stretch(start, stop, frames, (first, last)))
    return planned
