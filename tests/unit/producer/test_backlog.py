"""The backlog: exact while it is small, by proportion when it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.backlog import UNKNOWN_S, _scaled, expected_s
from producer.job import SpeechJob
from producer.queues import Priority

ROWS = st.lists(st.tuples(st.sampled_from(["interactive", "batch"]), st.floats(0.1, 1e4)))


@given(ROWS)
def test_few_jobs_are_counted_exactly(rows):
    jobs, audio_s = _scaled(rows, waiting=len(rows))

    for priority in Priority:
        mine = [seconds for name, seconds in rows if name == priority]
        assert jobs[priority] == len(mine)
        assert audio_s[priority] == pytest.approx(sum(mine))


def test_a_draw_stands_for_all_that_wait():
    jobs, audio_s = _scaled([("batch", "2.0")] * 3 + [("interactive", "1.0")], waiting=400)

    assert jobs == {Priority.BATCH: 300, Priority.INTERACTIVE: 100}
    assert audio_s == {Priority.BATCH: 600.0, Priority.INTERACTIVE: 100.0}


def test_a_row_that_does_not_say_counts_too():
    jobs, audio_s = _scaled([(None, None)], waiting=1)

    assert jobs[Priority.BATCH] == 1
    assert audio_s[Priority.BATCH] == UNKNOWN_S


def test_a_text_is_longer_in_signs_that_are_words_and_shorter_when_spoken_fast():
    english = SpeechJob(text="a" * 150)

    assert expected_s(english) == pytest.approx(10.0)
    assert expected_s(english.model_copy(update={"speed": 2.0})) == pytest.approx(5.0)
    assert expected_s(english.model_copy(update={"language": "zh-cn"})) > 30
