"""Levelling: the gain brings a book to its target, or as near as its peaks allow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.book.levelling import (
    MAX_LIMITING_DB,
    TARGETS,
    Measured,
    corrected_gain_db,
    factor,
    gain_db,
)

TALK = Measured(loudness_lufs=-23.0, rms_db=-26.0, true_peak_db=-8.0)
LEVELS = st.floats(-60, 0)


@pytest.mark.parametrize(("name", "wanted_db"), [("-16", 7.0), ("acx", 6.0), ("off", 0.0)])
def test_usual_speech_comes_to_its_target(name, wanted_db):
    assert gain_db(TALK, TARGETS[name]) == wanted_db


@given(LEVELS, LEVELS, LEVELS, st.sampled_from(["-16", "acx"]))
def test_the_target_is_met_unless_peaks_would_be_held_back_too_much(lufs, rms, peak, name):
    measured, target = Measured(lufs, rms, peak), TARGETS[name]

    gain = gain_db(measured, target)

    assert gain + target.reading(measured) <= target.wanted_db + 1e-9
    held_back_db = peak + gain - target.ceiling_db
    assert held_back_db <= MAX_LIMITING_DB + 1e-9
    if held_back_db < MAX_LIMITING_DB - 1e-9:
        assert gain + target.reading(measured) == pytest.approx(target.wanted_db)


@pytest.mark.parametrize("name", TARGETS)
def test_silence_is_left_alone(name):
    assert gain_db(Measured(-70.0, -120.0, -120.0), TARGETS[name]) == 0.0


def test_a_target_is_met_by_level_and_peaks_together():
    acx = TARGETS["acx"]

    assert acx.is_met(Measured(-20.0, -20.0, -3.4))
    assert not acx.is_met(Measured(-20.0, -20.0, -2.9))
    assert not acx.is_met(Measured(-20.0, -23.1, -3.4))
    assert not acx.is_met(Measured(-20.0, -17.9, -3.4))


def test_what_held_peaks_have_cost_is_added_but_for_the_most_that_is_allowed():
    after, target = Measured(-16.5, -19.5, -1.5), TARGETS["-16"]

    assert 7.5 < corrected_gain_db(7.0, TALK, after, target) < 8.0
    assert corrected_gain_db(7.0, TALK, Measured(-15.9, -19.0, -1.5), target) == 7.0
    peaky = Measured(-23.0, -26.0, 0.4)
    assert corrected_gain_db(7.0, peaky, after, target) == pytest.approx(7.1)


def test_a_gain_is_a_factor():
    assert factor(0.0) == 1.0
    assert factor(-6.0206) == pytest.approx(0.5, abs=1e-5)
