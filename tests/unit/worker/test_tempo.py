"""Tempo: audio a second of work. Time without work counts for nothing."""

from __future__ import annotations

import pytest

from worker.tempo import MEMORY_S, Tempo


def test_before_anything_was_spoken_nothing_is_known():
    tempo = Tempo()
    tempo.note(0, 0, busy=True)
    tempo.note(2, 0, busy=True)

    assert tempo.real_time_factor is None


def test_it_is_the_audio_of_the_time_with_work():
    tempo = Tempo()
    for second in range(0, 100, 2):
        tempo.note(second, 20.0 * second, busy=True)

    assert tempo.real_time_factor == pytest.approx(20)


def test_idle_time_changes_nothing():
    tempo = Tempo()
    tempo.note(0, 0, busy=True)
    tempo.note(2, 30, busy=False)
    before = tempo.real_time_factor
    tempo.note(1000, 30, busy=False)

    assert before == pytest.approx(15)
    assert tempo.real_time_factor == before


def test_it_follows_a_change_within_a_few_times_its_memory():
    tempo = Tempo()
    audio_s = 0.0
    for second in range(300):
        audio_s += 10 if second < 150 else 2
        tempo.note(second, audio_s, busy=True)

    assert tempo.real_time_factor == pytest.approx(2, rel=0.1)
    assert MEMORY_S * 5 <= 150
