"""Cuts of long recordings: nothing lost, nothing too long, where it is quietest."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cutting import AIM_S, AROUND_S, NEAR_S, STEP_S, WHOLE_S, pieces_of, step_samples

#: What the converter takes without a cut of its own.
CONVERTER_S = 41.0


@given(
    st.floats(0.001, 400.0), st.sampled_from([8000, 11025, 22050, 44100, 48000]), st.integers(0, 9)
)
def test_pieces_follow_one_another_and_are_heard_with_what_is_around(duration_s, rate_hz, seed):
    samples = max(1, int(duration_s * rate_hz))
    loudness = np.random.default_rng(seed).random(samples // step_samples(rate_hz), np.float32)

    pieces = pieces_of(samples, rate_hz, loudness)

    assert pieces[0].start == 0
    assert pieces[-1].end == samples
    for left, right in pairwise(pieces):
        assert left.end == right.start
        assert left.heard_to - left.end == right.start - right.heard_from == AROUND_S * rate_hz
        # Whole before the conversion, and after it at every rate of a voice.
        assert left.end % step_samples(rate_hz) == 0
    for piece in pieces:
        assert piece.end > piece.start
        assert piece.heard_to - piece.heard_from < CONVERTER_S * rate_hz
        first, last = piece.keep
        assert (piece.heard_from + first, piece.heard_from + last) == (piece.start, piece.end)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 24000, 32000, 40000, 44100, 48000])
def test_a_step_is_a_whole_number_of_samples_at_usual_rates(rate_hz):
    assert step_samples(rate_hz) == pytest.approx(rate_hz * STEP_S)


def test_a_recording_that_is_short_enough_stays_whole():
    rate_hz = 16000
    samples = int(WHOLE_S * rate_hz)

    [piece] = pieces_of(samples, rate_hz, np.zeros(1, np.float32))

    assert (piece.heard_from, piece.heard_to) == (0, samples)


def test_a_cut_falls_where_it_is_quietest():
    rate_hz = 16000
    loudness = np.ones(round(60 / STEP_S), np.float32)
    quiet = round((AIM_S + NEAR_S / 2) / STEP_S)
    loudness[quiet] = 0.0

    first, *_ = pieces_of(60 * rate_hz, rate_hz, loudness)

    assert first.end == quiet * step_samples(rate_hz)
