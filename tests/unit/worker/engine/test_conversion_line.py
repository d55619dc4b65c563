"""The line of sounds that wait for their conversion: together by voice, and nobody starves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.conversion_line import PATIENCE, ConversionLine
from worker.engine.converter import Source
from worker.engine.request import ConversionRequest

RATE_HZ = 1000


def source(name: str, voice: str = "anna", seconds: float = 1.0) -> Source:
    samples = np.zeros(round(seconds * RATE_HZ), np.float32)
    return Source(name, samples, RATE_HZ, ConversionRequest(voice, 0))


def names(batch: list[Source]) -> list[str]:
    return [one.id for one in batch]


def test_those_of_the_first_voice_come_together_then_others_while_there_is_room():
    line = ConversionLine()
    for name, voice in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b")):
        line.add(source(name, voice), interactive=False)

    assert names(line.take(3.0)) == ["a1", "a2", "b1"]
    assert names(line.take(3.0)) == ["b2"]


def test_whoever_is_waited_for_goes_first():
    line = ConversionLine()
    line.add(source("book", "a"), interactive=False)
    line.add(source("now", "b"), interactive=True)

    assert line.is_urgent
    assert names(line.take(1.0)) == ["now"]
    assert not line.is_urgent


def test_a_source_longer_than_a_batch_is_a_batch_by_itself():
    line = ConversionLine()
    line.add(source("long", seconds=30.0), interactive=False)
    line.add(source("short"), interactive=False)

    assert names(line.take(5.0)) == ["long"]


def test_what_is_put_back_goes_first_again():
    line = ConversionLine()
    for name in "abcd":
        line.add(source(name), interactive=False)
    batch = line.take(3.0)

    line.put_back(batch[1:])

    assert names(line.take(9.0)) == ["b", "c", "d"]


def test_what_is_dropped_is_not_taken():
    line = ConversionLine()
    line.add(source("a"), interactive=False)

    line.drop("a")
    line.drop("stranger")

    assert line.take(1.0) == []


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 3.0), st.booleans()), min_size=1),
    st.floats(0.5, 5.0),
)
def test_everybody_is_taken_once_and_only_the_first_may_be_longer_than_a_batch(arrivals, limit_s):
    line = ConversionLine()
    for place, (voice, seconds, interactive) in enumerate(arrivals):
        line.add(source(str(place), voice, seconds), interactive=interactive)

    batches = []
    while len(line):
        batches.append(line.take(limit_s))

    taken = [name for batch in batches for name in names(batch)]
    assert sorted(taken, key=int) == [str(place) for place in range(len(arrivals))]
    for batch in batches:
        assert len(batch) == 1 or sum(one.duration_s for one in batch) <= limit_s + 1e-6


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_batch_work_is_not_starved_by_an_endless_stream_of_what_is_urgent(stream):
    line = ConversionLine()
    line.add(source("book", "slow"), interactive=False)

    for turn in range(PATIENCE + 1):
        for number, _ in enumerate(stream):
            line.add(source(f"{turn}.{number}", "quick"), interactive=True)
        batch = line.take(1.0)

    assert names(batch) == ["book"]
