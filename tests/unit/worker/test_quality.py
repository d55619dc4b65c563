"""Silence, clipping and repeated ends are seen; speech has none of them."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine.request import Samples
from worker.quality import MOST_CLIPPED, MOST_SILENCE, Quality, measure

RATE_HZ = 24000


def speech(seconds: float, seed: int = 1) -> Samples:
    """Noise that is as loud as syllables are: some longer, some louder, with pauses."""
    chance = np.random.default_rng(seed)
    parts: list[Samples] = []
    while sum(map(len, parts)) < seconds * RATE_HZ:
        length = int(chance.uniform(0.05, 0.3) * RATE_HZ)
        loudness = chance.choice([0.0, 0.03, 0.1, 0.2])
        parts.append((chance.normal(0, 1, length) * loudness).astype(np.float32))
    return np.clip(np.concatenate(parts)[: int(seconds * RATE_HZ)], -0.9, 0.9)


@pytest.mark.parametrize("seed", range(20))
def test_there_is_nothing_to_say_of_speech(seed):
    assert measure(speech(8.0, seed), RATE_HZ).excess == 1.0


def test_silence_is_counted_as_its_share_of_the_time():
    quality = measure(np.concatenate([speech(1.0), np.zeros(9 * RATE_HZ, np.float32)]), RATE_HZ)

    assert 0.9 <= quality.silence_share <= 1.0
    assert quality.excess == quality.silence_share / MOST_SILENCE > 1


def test_clipped_samples_are_counted_on_both_sides():
    samples = speech(1.0)
    samples[:300], samples[300:600] = 1.0, -1.0

    quality = measure(samples, RATE_HZ)

    assert quality.clipped_share == pytest.approx(600 / RATE_HZ)
    assert quality.excess == pytest.approx(600 / RATE_HZ / MOST_CLIPPED)


@pytest.mark.parametrize("phrase_s", [0.7, 1.3, 2.5])
def test_an_end_that_is_said_over_and_over_is_found_though_it_is_never_quite_the_same(phrase_s):
    chance = np.random.default_rng(2)
    samples = speech(5.0)
    phrase = samples[-int(phrase_s * RATE_HZ) :]
    again = [
        phrase * chance.uniform(0.8, 1.2) + chance.normal(0, 0.002, len(phrase)) for _ in "123"
    ]
    loop = np.concatenate([samples, *again]).astype(np.float32)

    assert 3 * 0.4 <= measure(loop, RATE_HZ).repeated_s <= 3 * phrase_s + 0.1
    assert measure(loop, RATE_HZ, tail=False).repeated_s == 0.0


@pytest.mark.parametrize(
    "samples", [np.zeros(0), np.zeros(5), np.full(RATE_HZ * 9, 0.1), np.zeros(RATE_HZ)]
)
def test_what_has_no_phrases_repeats_none(samples):
    assert measure(samples.astype(np.float32), RATE_HZ).repeated_s == 0.0


def test_nothing_is_as_good_as_good():
    assert Quality().excess == 1.0
