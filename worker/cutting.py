"""Where a long recording is cut into pieces, and what is heard around each of them. Pure.

A piece is converted like a take of speech: by itself, beside those of other jobs. It is cut where
it is quietest, and converted with a second of what is around it, which is then left out: as the
programs do that convert a recording in one go.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

#: Loudness is looked at in steps of this, and cuts fall between two of them: at every usual rate
#: a whole number of samples, before the conversion and after it.
STEP_S: Final = 0.04

#: What is not longer is one piece, exactly as the converter would take it.
WHOLE_S: Final = 40.0

#: Pieces are about so long, give or take, and a second at each end is heard too: never so much
#: that the converter would cut once more.
AIM_S: Final = 30.0
NEAR_S: Final = 4.0
AROUND_S: Final = 1.0

#: The last piece may be so long.
LAST_S: Final = AIM_S + NEAR_S


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples `start .. end` are wanted, `heard_from .. heard_to` are converted."""

    start: int
    end: int
    heard_from: int
    heard_to: int

    @property
    def keep(self) -> tuple[int, int]:
        """What is wanted, counted from the first sample that is heard."""
        return self.start - self.heard_from, self.end - self.heard_from


def step_samples(rate_hz: int) -> int:
    """Return the samples of one step."""
    return max(1, round(rate_hz * STEP_S))


def pieces_of(samples: int, rate_hz: int, loudness: npt.NDArray[np.float32]) -> list[Piece]:
    """Return the pieces of a recording, in order; `loudness` has one number a step."""
    if samples <= WHOLE_S * rate_hz:
        return [Piece(0, samples, 0, samples)]
    step = step_samples(rate_hz)
    around = round(AROUND_S / STEP_S) * step
    bounds = [0, *(place * step for place in _cuts(loudness)), samples]
    return [
        Piece(start, end, max(0, start - around), min(samples, end + around))
        for start, end in pairwise(bounds)
    ]


def _cuts(loudness: npt.NDArray[np.float32]) -> list[int]:
    """Return the steps before which to cut."""
    aim, near, last = (round(span_s / STEP_S) for span_s in (AIM_S, NEAR_S, LAST_S))
    cuts: list[int] = []
    start = 0
    while len(loudness) - start > last:
        first = start + aim - near
        around = loudness[first : start + aim + near]
        start = first + int(around.argmin())
        cuts.append(start)
    return cuts
