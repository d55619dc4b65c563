"""The wave between the samples: how high it is. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

#: Points at which the wave is looked at, a sample; ITU-R BS.1770 asks for four.
_OVERSAMPLING: Final = 4

#: Samples on either side that a point between two of them is reckoned from.
REACH: Final = 12

#: A point between samples is never so many times higher than the highest sample around it: more
#: than the sum of the weights' sizes. (A test reckons it.)
OVERSHOOT: Final = 2.4

Row = npt.NDArray[np.float64]


def _weights() -> Row:
    """Return the weights of the samples around, (points between, 2 * reach): a windowed sinc."""
    places = np.arange(-REACH + 1, REACH + 1, dtype=np.float64)
    shifts = np.arange(1, _OVERSAMPLING)[:, None] / _OVERSAMPLING
    distance = places - shifts
    window = np.cos(np.pi * distance / (2 * REACH + 1)) ** 2
    weights = np.sinc(distance) * window
    rows: Row = weights / weights.sum(axis=1, keepdims=True)
    return rows


WEIGHTS: Final = _weights()


def heights(samples: Row, floor: float) -> Row:
    """Return the height of the wave at each sample but the `REACH` first and last ones.

    It is the highest of the sample and of the points between it and its two neighbours. Where it
    is not above `floor`, any number that is not may stand.
    """
    sizes = np.abs(samples)
    at: Row = sizes[REACH : len(sizes) - REACH]
    if not len(at) or sizes.max() * OVERSHOOT <= floor:
        return at
    # The one at i lies between the samples i - 1 and i, counted as `at` is.
    between = np.zeros(len(at) + 1)
    for weights in WEIGHTS:
        np.maximum(between, np.abs(np.correlate(samples, weights, "valid")), out=between)
    highest: Row = np.maximum(at, np.maximum(between[:-1], between[1:]))
    return highest


class TruePeak:
    """The highest point of a wave that is heard in blocks."""

    def __init__(self) -> None:
        self.highest = 0.0
        self._held: Row = np.zeros(2 * REACH)

    def hear(self, samples: npt.NDArray[np.floating]) -> None:
        """Hear the next samples; what is behind the last ones is known later."""
        self._held = np.concatenate([self._held, samples.astype(np.float64, copy=False)])
        found = heights(self._held, self.highest)
        self.highest = max(self.highest, float(found.max(initial=0.0)))
        self._held = self._held[len(self._held) - 2 * REACH :]

    def end(self) -> float:
        """Return it. Nothing may follow."""
        self.hear(np.zeros(REACH))
        return self.highest
