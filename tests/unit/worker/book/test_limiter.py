"""The limiter: no wave passes the ceiling, nothing moves, and what is low is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from worker.book.limiter import Limiter
from worker.book.wave import OVERSHOOT, WEIGHTS, TruePeak

RATE_HZ = 22_050
CEILING = 0.5

#: How far the wave may pass the ceiling where the gain moves beneath it: a tenth of a decibel.
SLACK = 10 ** (0.1 / 20)


def limited(samples: np.ndarray, cuts: list[int] = []) -> np.ndarray:  # noqa: B006  it is read only
    limiter = Limiter(CEILING, RATE_HZ)
    blocks = [limiter.limit(block) for block in np.split(samples, sorted(cuts))]
    return np.concatenate([*blocks, limiter.flush()])


def speech_like(seed: int, seconds: float = 0.5) -> np.ndarray:
    """Bursts of filtered noise, with peaks far above their level."""
    rng = np.random.default_rng(seed)
    count = round(RATE_HZ * seconds)
    noise = np.convolve(rng.standard_normal(count), np.hanning(9), mode="same")
    swell = np.abs(np.sin(np.arange(count) / RATE_HZ * 2 * np.pi * 4)) ** 4
    samples = noise * swell
    return (1.5 * samples / np.abs(samples).max()).astype(np.float32)


def true_peak(samples: np.ndarray) -> float:
    """By scipy's resampler, at eight times the rate."""
    return float(np.abs(resample_poly(samples.astype(np.float64), 8, 1)).max())


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_the_wave_between_the_samples_stays_below_the_ceiling(seed):
    assert true_peak(limited(speech_like(seed))) <= CEILING * SLACK


def test_a_wave_whose_peaks_all_lie_between_its_samples_is_held_back():
    at = np.arange(RATE_HZ // 2)
    swell = np.hanning(len(at))
    hidden = (0.7 * swell * np.sin(np.pi / 2 * at + np.pi / 4)).astype(np.float32)
    assert np.abs(hidden).max() < CEILING < true_peak(hidden)

    assert true_peak(limited(hidden)) <= CEILING * SLACK


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, RATE_HZ // 2), max_size=6))
@settings(deadline=None, max_examples=20)
def test_how_a_wave_is_cut_into_blocks_does_not_matter(seed, cuts):
    samples = speech_like(seed)

    pieces = limited(samples, cuts)

    assert len(pieces) == len(samples)
    assert np.allclose(pieces, limited(samples), atol=1e-6)


def test_what_is_low_comes_out_bit_for_bit_in_its_place():
    samples = 0.2 * speech_like(7) / 1.5

    assert np.array_equal(limited(samples, [100, 5_000]), samples)


def test_a_peak_is_brought_down_and_what_is_far_from_it_is_not():
    samples = np.full(RATE_HZ, 0.1, np.float32)
    samples[RATE_HZ // 2] = 0.9

    out = limited(samples)

    assert out[RATE_HZ // 2] <= CEILING
    assert np.array_equal(out[: RATE_HZ // 3], samples[: RATE_HZ // 3])
    assert np.array_equal(out[2 * RATE_HZ // 3 :], samples[2 * RATE_HZ // 3 :])


@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_the_shortest_waves_keep_their_length(count):
    assert len(limited(np.full(count, 0.9, np.float32))) == count


def test_nothing_between_samples_is_higher_than_the_fast_way_expects():
    assert np.abs(WEIGHTS).sum(axis=1).max() < OVERSHOOT


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, RATE_HZ // 2), max_size=6))
@settings(deadline=None, max_examples=20)
def test_the_highest_point_is_what_a_resampler_finds_in_whatever_blocks(seed, cuts):
    samples, peak = speech_like(seed), TruePeak()

    for block in np.split(samples, sorted(cuts)):
        peak.hear(block)

    assert peak.end() == pytest.approx(true_peak(samples), rel=0.02)
