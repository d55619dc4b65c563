"""A limiter that keeps the wave between the samples below a ceiling too. Pure.

    height     of the wave at each sample
    reduction  what would bring each of them below the ceiling, held for the time around it
    gain       the mean of that around each sample: it has come down before the peak is there

Nothing is delayed: what comes out has the place, and the number of samples, of what went in.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ..engine.request import Samples
from .wave import REACH, Row, heights

#: How long before a peak the gain begins to fall, and behind it to rise. Chosen, not measured.
ATTACK_S: Final = 0.004

#: Less than that is nothing: what sums leave behind where no gain is needed.
_NOTHING: Final = 1e-9


class Limiter:
    """Holds peaks back, block by block; how a wave is cut into blocks does not matter."""

    def __init__(self, ceiling: float, rate_hz: int) -> None:
        """`ceiling` is a height, where 1 is full scale."""
        self._ceiling = ceiling
        #: Samples on either side over which the gain is averaged, in two steps of a half each.
        self._step = max(1, round(ATTACK_S * rate_hz / 2))
        self._attack = 2 * self._step
        #: Samples on either side that the gain at a sample depends on.
        self._margin = 2 * self._attack + REACH
        self._held: Row = np.zeros(self._margin)
        #: Samples that were held back so far.
        self.limited = 0

    def limit(self, samples: npt.NDArray[np.floating]) -> Samples:
        """Return what can be known so far of the output."""
        self._held = np.concatenate([self._held, samples.astype(np.float64, copy=False)])
        ready = len(self._held) - 2 * self._margin
        if ready <= 0:
            return np.zeros(0, np.float32)
        out = self._limited(self._held)
        self._held = self._held[ready:]
        return out

    def flush(self) -> Samples:
        """Return the rest. Nothing may follow."""
        return self.limit(np.zeros(self._margin))

    def _limited(self, held: Row) -> Samples:
        middle = held[self._margin : len(held) - self._margin]
        height = heights(held, self._ceiling)
        if height.max() <= self._ceiling:
            return middle.astype(np.float32)
        wanted = self._ceiling / np.maximum(height, self._ceiling)
        lowest = _lowest(wanted, 2 * self._attack + 1)
        gain = _mean(_mean(lowest, self._attack + 1), self._attack + 1)
        gain[gain > 1.0 - _NOTHING] = 1.0
        self.limited += int(np.count_nonzero(gain < 1.0))
        limited: Samples = (middle * gain).astype(np.float32)
        return limited


def _lowest(values: Row, width: int) -> Row:
    """Return the lowest of each `width` values in a row, by doubling: not by the width."""
    reached = 1
    while 2 * reached <= width:
        values = np.minimum(values[:-reached], values[reached:])
        reached *= 2
    rest = width - reached
    return np.minimum(values[: len(values) - rest], values[rest:])


def _mean(values: Row, width: int) -> Row:
    """Return the mean of each `width` values in a row."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: Row = (sums[width:] - sums[:-width]) / width
    return means
