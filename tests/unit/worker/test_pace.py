"""The bands: what people say in their usual time is inside, ramblings and fragments are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.languages import XTTS_LIMIT_CHARS
from worker.pace import Band, band_of

#: Texts with about the time that a person takes to read them aloud.
READ_S = [
    ("en", "Yes.", 0.6),
    ("en", "Hello from the farm.", 1.3),
    ("en", "The quick brown fox jumps over the lazy dog, and nobody is surprised any more.", 5.0),
    ("en", "In 1984 it cost $1,250.75, or 15% less.", 7.0),
    ("en", "3.14159265358979", 8.0),
    ("de", "Die Donaudampfschifffahrtsgesellschaft fährt heute nicht.", 4.5),
    ("zh-cn", "我们明天早上八点钟在学校门口见面。", 3.5),
    ("ja", "ありがとうございます。", 1.4),
    ("ko", "안녕하세요, 만나서 반갑습니다.", 2.5),
    ("ar", "صباح الخير يا أصدقائي", 1.8),
    ("hi", "मेरे पास बहुत सारी किताबें हैं", 2.2),
]

words = st.lists(st.from_regex("[a-z]{1,9}", fullmatch=True), min_size=1, max_size=30)


@pytest.mark.parametrize(("language", "text", "duration_s"), READ_S)
def test_what_a_person_reads_in_the_usual_time_is_inside(language, text, duration_s):
    assert band_of(text, language).excess(duration_s) == 1.0


@pytest.mark.parametrize(("language", "text", "duration_s"), READ_S)
@pytest.mark.parametrize("factor", [0.03, 25.0])
def test_a_fragment_and_a_rambling_are_outside(language, text, duration_s, factor):
    assert band_of(text, language).excess(duration_s * factor) > 1.0


@pytest.mark.parametrize("language", XTTS_LIMIT_CHARS)
def test_a_full_chunk_of_any_language_is_usual_where_its_limit_says_so(language):
    assert band_of("a" * XTTS_LIMIT_CHARS[language], language).excess(17.0) == 1.0


@given(words, st.sampled_from(sorted(XTTS_LIMIT_CHARS)), st.floats(0.25, 4))
def test_a_band_is_wide_and_a_tempo_only_scales_it(words, language, speed):
    text = " ".join(words)

    normal, hurried = band_of(text, language), band_of(text, language, speed)

    assert normal.longest_s > 4 * normal.shortest_s > 0
    assert hurried.shortest_s * speed == pytest.approx(normal.shortest_s)
    assert hurried.longest_s * speed == pytest.approx(normal.longest_s)


@given(words, words)
def test_more_words_never_take_less_time(some, more):
    shorter, longer = (band_of(" ".join(text), "en") for text in (some, some + more))

    assert shorter.shortest_s < longer.shortest_s
    assert shorter.longest_s < longer.longest_s


@pytest.mark.parametrize(("duration_s", "excess"), [(1, 2), (2, 1), (4, 1), (8, 2), (0, 2000)])
def test_the_excess_tells_how_far_a_duration_is_outside(duration_s, excess):
    assert Band(2.0, 4.0).excess(duration_s) == pytest.approx(excess)
