"""Loudness: what ffmpeg measures in blocks is what pyloudnorm measures at once."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest

from worker.book.loudness import LoudnessMeter

RATE_HZ = 48_000


def measured(samples: np.ndarray, rate_hz: int = RATE_HZ, block: int = 7_001):
    meter = LoudnessMeter(rate_hz)
    for start in range(0, len(samples), block):
        meter.hear(samples[start : start + block])
    return meter.measured()


@pytest.fixture
def talk() -> np.ndarray:
    """Six seconds of noise that comes and goes, with a second of silence."""
    rng = np.random.default_rng(3)
    count = 6 * RATE_HZ
    noise = np.convolve(rng.standard_normal(count), np.hanning(31) / 16, mode="same")
    swell = np.abs(np.sin(np.arange(count) / RATE_HZ * 2 * np.pi * 1.3))
    samples = (0.2 * noise * swell).astype(np.float32)
    samples[2 * RATE_HZ : 3 * RATE_HZ] = 0.0
    return samples


@pytest.mark.parametrize("block", [960, 7_001, 10**7])
def test_it_agrees_with_pyloudnorm_whatever_the_blocks(talk, block):
    oracle = pyloudnorm.Meter(RATE_HZ).integrated_loudness(talk.astype(np.float64))

    assert measured(talk, block=block).loudness_lufs == pytest.approx(oracle, abs=0.1)


def test_power_is_the_mean_of_all_samples(talk):
    oracle = 10 * np.log10(np.mean(np.square(talk, dtype=np.float64)))

    assert measured(talk).rms_db == pytest.approx(oracle, abs=1e-6)


def test_a_peak_between_the_samples_is_found():
    at = np.arange(RATE_HZ)
    swell = np.hanning(len(at))
    hidden = (0.5 * swell * np.sin(np.pi / 2 * at + np.pi / 4)).astype(np.float32)

    assert measured(hidden).true_peak_db == pytest.approx(20 * np.log10(0.5), abs=0.2)


@pytest.mark.parametrize("count", [0, 1, RATE_HZ // 20, 2 * RATE_HZ])
def test_silence_and_what_is_too_short_have_no_loudness(count):
    assert measured(np.zeros(count, np.float32)).is_silent
