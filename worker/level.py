"""How loud a file is: measured while it is written. Pure.

This is the plain level of all samples, not loudness as an ear has it: cheap enough for every job,
and enough to see which of a thousand items is twice as loud as the others.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from .engine.request import Samples

#: Told of what is quieter, silence included. [dB below full scale]
FLOOR_DB: Final = -120.0


class Level:
    """Adds up samples, any number at a time."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._samples = 0
        self._peak = 0.0

    def add(self, samples: Samples) -> None:
        """Take samples of -1 .. 1."""
        if len(samples):
            self._energy += float(np.dot(samples, samples))
            self._samples += len(samples)
            self._peak = max(self._peak, float(samples.max()), -float(samples.min()))

    @property
    def rms_db(self) -> float:
        """Root mean square of all samples. [dB of full scale]"""
        return _decibels(math.sqrt(self._energy / self._samples)) if self._samples else FLOOR_DB

    @property
    def peak_db(self) -> float:
        """The sample that is furthest from zero. [dB of full scale]"""
        return _decibels(self._peak)


def _decibels(amplitude: float) -> float:
    return max(FLOOR_DB, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DB
