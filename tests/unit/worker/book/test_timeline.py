"""The timeline: nothing overlaps, nothing is lost, and cues meet at the takes' edges."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.book.timeline import Pauses, Span, cues_of, place

LENGTHS = st.lists(st.integers(1, 10**9), min_size=1, max_size=8)
PAUSES = st.builds(Pauses, st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 10**5))


@given(st.lists(LENGTHS, min_size=1, max_size=6), PAUSES)
def test_chapters_meet_and_each_part_has_its_length_and_its_pauses(chapters, pauses):
    placed = place(chapters, pauses)

    assert placed[0].first == 0
    for before, after in pairwise(placed):
        assert before.end == after.first
    for lengths, chapter in zip(chapters, placed, strict=True):
        assert [part.end - part.first for part in chapter.parts] == lengths
        assert chapter.parts[0].first - chapter.first == pauses.head
        assert chapter.end - chapter.parts[-1].end == pauses.tail
        for before, after in pairwise(chapter.parts):
            assert after.first - before.end == pauses.between


@given(
    st.integers(0, 10**9),
    st.lists(st.integers(1, 10**7), min_size=1, max_size=20),
    st.sampled_from([8_000, 22_050, 24_000, 44_100, 48_000]),
)
def test_cues_fill_their_span_and_follow_the_takes_to_the_sample(first, takes, rate_hz):
    native_hz = 24_000
    length = round(sum(takes) * rate_hz / native_hz)
    texts = [f"take {number}" for number in range(len(takes))]

    cues = list(cues_of(Span(first, first + length), texts, takes))

    assert [cue.text for cue in cues] == texts
    assert (cues[0].first, cues[-1].end) == (first, first + length)
    spoken = 0
    for cue, samples in zip(cues, takes, strict=True):
        spoken += samples
        assert abs(cue.end - first - spoken * rate_hz / native_hz) <= 1
        assert cue.first <= cue.end
    for before, after in pairwise(cues):
        assert before.end == after.first


def test_where_it_is_not_known_which_text_is_which_take_one_cue_has_all():
    [cue] = cues_of(Span(10, 50), ["One.", "Two."], [])

    assert (cue.first, cue.end, cue.text) == (10, 50, "One. Two.")


def test_pauses_are_the_same_time_at_each_rate():
    assert Pauses.at(10_000) == Pauses(5_000, 6_000, 15_000)
    assert Pauses.at(48_000) == Pauses(24_000, 28_800, 72_000)
