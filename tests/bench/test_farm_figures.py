"""The arithmetic of the farm's figures, and the texts that it speaks."""

from __future__ import annotations

import pytest

from producer.languages import chunk_limit_chars
from producer.text import split

from .farm_figures import End, of_passage, percentiles, steady_rate, table
from .farm_texts import CHUNK_WORDS, SENTENCE_CHARS, chapters, sentence


def test_the_steady_rate_knows_neither_the_slow_begin_nor_the_slow_end() -> None:
    # given ten takes of 6 s each a second, but for a first and a last one that come late
    ends = [End(100 + n / 10, 6.0) for n in range(101)]
    late = [End(0.0, 6.0), *ends, End(500.0, 6.0)]

    # then
    assert steady_rate(late) == pytest.approx(60.0)
    assert of_passage(late, 0.0)["x_whole"] == pytest.approx(103 * 6 / 500, abs=0.1)


def test_too_few_ends_have_no_rate() -> None:
    assert steady_rate([]) == steady_rate([End(1.0, 6.0)]) == 0.0
    assert of_passage([], 3.0)["jobs"] == 0


def test_percentiles_are_those_of_the_values() -> None:
    assert percentiles([float(n) for n in range(101)]) == {
        "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0,
    }  # fmt: skip
    assert percentiles([]) == {}


def test_the_table_has_a_line_a_row() -> None:
    rows = [{"what": "engine", "x_steady": 1717.2}, {"what": "farm", "latency_s": {"p50": 0.5}}]

    assert table(rows, ["what", "x_steady", "latency_s"]).splitlines() == [
        "| what | x_steady | latency_s |",
        "| --- | ---: | ---: |",
        "| engine | 1,717 |  |",
        "| farm |  | 0.50 |",
    ]


def test_a_sentence_is_its_own_and_always_the_same() -> None:
    assert len({sentence(n) for n in range(500)}) == 500
    assert sentence(7) == sentence(7)
    assert {len(sentence(n)) for n in range(500)} == {SENTENCE_CHARS}


def test_each_sentence_of_a_chapter_is_one_chunk() -> None:
    # when
    first, second = chapters(2, 30, ["anna"])

    # then
    chunks = split(first["text"], chunk_limit_chars("en"))
    assert [len(chunk.split()) for chunk in chunks] == [CHUNK_WORDS] * 30
    assert not set(chunks) & set(split(second["text"], chunk_limit_chars("en")))
