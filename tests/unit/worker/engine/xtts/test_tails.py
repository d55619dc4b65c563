"""The ends of takes: quiet that ran on is cut, ends that were cut fade, all else stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.xtts.tails import FADE_S, KEPT_S, QUIET, RUN_ON_S, ended, faded, trimmed

RATE_HZ = 24000


def take(speech_s: float, quiet_s: float, level: float = 0.0) -> np.ndarray:
    """A tone, then hiss of that level."""
    speech = 0.5 * np.cos(np.arange(round(speech_s * RATE_HZ)) * np.pi / 8)
    hiss = level * np.cos(np.arange(round(quiet_s * RATE_HZ)) * np.pi)
    return np.concatenate([speech, hiss]).astype(np.float32)


def test_a_tail_that_ran_on_is_cut_to_a_natural_one():
    samples = take(1.0, 2.0, level=0.4 * QUIET)

    found = trimmed(samples, RATE_HZ)

    assert len(found) == pytest.approx((1.0 + KEPT_S) * RATE_HZ, abs=16)
    fade = round(FADE_S * RATE_HZ)
    assert np.array_equal(found[:-fade], samples[: len(found) - fade])
    assert found[-1] == 0


@pytest.mark.parametrize("quiet_s", [0.0, 0.18, RUN_ON_S - 0.001])
def test_a_natural_tail_is_left_alone(quiet_s):
    samples = take(1.0, quiet_s)

    assert trimmed(samples, RATE_HZ) is samples


def test_what_is_not_quiet_is_no_tail():
    samples = take(1.0, 2.0, level=1.1 * QUIET)

    assert trimmed(samples, RATE_HZ) is samples


@pytest.mark.parametrize("length", [0, 1, RATE_HZ])
def test_silence_and_nothing_have_no_tail(length):
    samples = np.zeros(length, np.float32)

    assert trimmed(samples, RATE_HZ) is samples


def test_quiet_is_measured_by_the_takes_own_peak():
    soft = take(1.0, 2.0, level=0.4 * QUIET) * np.float32(0.01)

    assert len(trimmed(soft, RATE_HZ)) < 1.3 * RATE_HZ


@pytest.mark.parametrize("length", [0, 1, 50, RATE_HZ])
def test_a_fade_falls_to_zero_and_changes_only_the_end(length):
    samples = np.full(length, 0.5, np.float32)

    found = faded(samples, RATE_HZ)

    fade = min(length, round(FADE_S * RATE_HZ))
    assert found.dtype == np.float32
    assert np.array_equal(found[: length - fade], samples[: length - fade])
    assert np.all(np.diff(found) <= 0)
    assert length < 2 or found[-1] == 0


def test_what_was_cut_off_a_tail_is_counted():
    sound = ended(take(1.0, 2.0), RATE_HZ, capped=False)

    assert sound.trimmed_s == pytest.approx(2.0 - KEPT_S, abs=1e-3)
    assert sound.trimmed_s + len(sound.samples) / RATE_HZ == pytest.approx(3.0)
    assert not sound.truncated


@pytest.mark.parametrize(("quiet_s", "trimmed_s"), [(0.0, 0.0), (2.0, 2.0 - KEPT_S)])
def test_a_take_that_met_the_cap_says_so_and_ends_in_a_fade(quiet_s, trimmed_s):
    sound = ended(take(1.0, quiet_s), RATE_HZ, capped=True)

    assert sound.truncated
    assert sound.trimmed_s == pytest.approx(trimmed_s, abs=1e-3)
    assert sound.samples[-1] == 0


def test_a_good_end_is_left_alone():
    samples = take(1.0, 0.15)

    sound = ended(samples, RATE_HZ, capped=False)

    assert sound.samples is samples
    assert (sound.trimmed_s, sound.truncated) == (0.0, False)


@given(speech_s=st.floats(0.01, 1), quiet_s=st.floats(0, 2), gain=st.floats(0.01, 1))
def test_trimming_twice_is_trimming_once_and_keeps_all_that_is_loud(speech_s, quiet_s, gain):
    samples = take(speech_s, quiet_s) * np.float32(gain)

    found = trimmed(samples, RATE_HZ)

    assert len(found) >= round(speech_s * RATE_HZ)
    assert len(found) <= round((speech_s + max(RUN_ON_S, KEPT_S)) * RATE_HZ) + 1
    assert trimmed(found, RATE_HZ) is found


@given(
    loud=st.lists(st.integers(0, 4 * RATE_HZ - 1), max_size=3),
    length=st.integers(0, 4 * RATE_HZ),
    over=st.sampled_from([1.0, QUIET, 2 * QUIET]),
)
def test_a_tail_begins_behind_the_last_sample_that_is_heard(loud, length, over):
    # Given single samples in silence, the first of which is the loudest
    samples = np.zeros(length, np.float32)
    heights = [-0.5, *[0.5 * over] * 2]
    for place, height in zip(loud, heights, strict=False):
        if place < length and not samples[place]:
            samples[place] = height
    peak = np.abs(samples).max(initial=0.0)
    heard = [place for place in sorted(set(loud)) if place < length]
    heard = [place for place in heard if abs(samples[place]) > QUIET * peak]

    found = trimmed(samples, RATE_HZ)

    quiet = length - heard[-1] - 1 if heard else 0
    runs_on = quiet > RUN_ON_S * RATE_HZ
    assert length - len(found) == (quiet - round(KEPT_S * RATE_HZ) if runs_on else 0)
