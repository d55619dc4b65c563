"""The level of a file, however it is cut on the way."""

from __future__ import annotations

import numpy as np
import pytest

from worker.level import FLOOR_DB, Level


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_sine_of_full_scale_is_three_decibels_below_it(pieces):
    level = Level()
    sine = np.sin(np.arange(24000) * 2 * np.pi * 100 / 24000).astype(np.float32)

    for piece in np.array_split(sine, pieces):
        level.add(piece)

    assert level.rms_db == pytest.approx(-3.01, abs=0.01)
    assert level.peak_db == pytest.approx(0.0, abs=0.01)


def test_a_peak_may_be_below_zero():
    level = Level()
    level.add(np.array([0.1, -0.5], np.float32))

    assert level.peak_db == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("samples", [[], [0.0], [0.0] * 100])
def test_silence_is_at_the_floor(samples):
    level = Level()
    level.add(np.array(samples, np.float32))

    assert (level.rms_db, level.peak_db) == (FLOOR_DB, FLOOR_DB)
