"""Text: nothing is lost between a text and its chunks."""

from __future__ import annotations

import random
import statistics
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.text import MAX_TEXT_CHARS, clean, halves, paragraphs, shorten, split

PROSE = st.text(
    alphabet=st.sampled_from("abc de,.;:!?…—\n\"'“”0123。、！？日本語आ।é\u0301 "), max_size=400
)


@given(text=PROSE | st.text(max_size=300), limit=st.integers(1, 120))
def test_joining_the_chunks_gives_the_text_back(text, limit):
    assert "".join(split(text, limit)) == text


@given(text=PROSE, limit=st.integers(1, 120))
def test_no_chunk_is_longer_than_the_limit_and_none_is_empty(text, limit):
    chunks = split(text, limit)

    assert all(0 < len(chunk) <= limit for chunk in chunks)


@given(text=(PROSE | st.text(max_size=300)).filter(bool))
def test_halves_are_shorter_and_join_to_the_text(text):
    parts = halves(text)

    assert "".join(parts) == text
    assert all(len(part) < len(text) for part in parts) or len(text) == 1


def test_a_chunk_is_halved_where_a_sentence_ends():
    assert halves("It cost 1,000. Then 2,000 more, they say.") == [
        "It cost 1,000. ",
        "Then 2,000 more, ",
        "they say.",
    ]


@given(sentences_per_chunk=st.integers(1, 30))
def test_short_neighbours_share_a_chunk(sentences_per_chunk):
    sentence = "Yes. "

    chunks = split(sentence * 20, len(sentence) * sentences_per_chunk)

    assert len(chunks) == -(-20 // sentences_per_chunk)


@pytest.mark.parametrize(
    ("text", "limit", "chunks"),
    [
        ("One. Two. Three.", 10, ["One. Two. ", "Three."]),
        ("He said: “Go!” She went.", 15, ["He said: “Go!” ", "She went."]),
        ("first clause, second clause, third", 20, ["first clause, ", "second clause, third"]),
        ("no marks at all here", 8, ["no ", "marks ", "at all ", "here"]),
        ("Pi is 3.14 today", 12, ["Pi is 3.14 ", "today"]),
        ("今日は。明日は。", 4, ["今日は。", "明日は。"]),
        ("unbreakable", 4, ["unbr", "eaka", "ble"]),
    ],
)
def test_a_text_is_cut_at_the_coarsest_mark_that_fits(text, limit, chunks):
    assert split(text, limit) == chunks


def test_a_hard_cut_never_parts_a_letter_from_its_accent():
    text = "e\u0301" * 20

    chunks = split(text, 5)

    assert all(not unicodedata.combining(chunk[0]) for chunk in chunks)


def test_cleaning_composes_letters_and_normalises_newlines():
    assert clean("\ufeff  cafe\u0301\r\nnoir \n") == "café\nnoir"


def test_cleaning_is_done_once():
    assert clean(clean(" a\r\nb ")) == clean(" a\r\nb ")


def test_a_book_becomes_pieces_that_are_each_a_job():
    book = "\n\n".join(f"Paragraph {n}. " + "words " * 2000 for n in range(12))

    pieces = paragraphs(book)

    assert [clean(piece) for piece in pieces]
    assert all(len(piece) <= MAX_TEXT_CHARS for piece in pieces)
    assert " ".join(pieces).split() == book.split()


def test_pieces_without_a_word_are_dropped():
    assert paragraphs("* * *\n\nA line.", limit_chars=10) == ["A line."]


@pytest.mark.parametrize(
    ("text", "shown"), [("short", "short"), ("a\n b", "a b"), ("x" * 60, "x" * 47 + "…")]
)
def test_a_shown_text_is_one_short_line(text, shown):
    assert shorten(text) == shown


def test_an_edit_in_a_long_text_changes_few_chunks():
    chance = random.Random(7)

    def sentence() -> str:
        words = ("word" * chance.randint(1, 2) for _ in range(chance.randint(3, 30)))
        return f"{chance.random()} {' '.join(words)}."

    text = [sentence() for _ in range(300)]
    before = {chunk.strip() for chunk in split(" ".join(text), 250)}
    changed = []
    for place in range(0, 300, 3):
        edited = [*text[:place], sentence(), *text[place + 1 :]]
        after = [chunk.strip() for chunk in split(" ".join(edited), 250)]
        changed.append(sum(chunk not in before for chunk in after))

    assert len(before) > 100
    assert statistics.median(changed) <= 4
    assert max(changed) <= 25
