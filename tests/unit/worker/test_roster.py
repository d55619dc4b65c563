"""The roster: each chunk is here or in the process, and a death loses none of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.request import ChunkRequest
from worker.roster import Roster, lead_of


def chunk(name: str, *, interactive: bool = False) -> ChunkRequest:
    return ChunkRequest(name, "text", "en", "default", 0, interactive=interactive)


def names(requests: list[ChunkRequest]) -> list[str]:
    return [request.id for request in requests]


@pytest.fixture
def roster() -> Roster:
    return Roster(slots=2, interactive_reserve=0, max_deaths=3)


def test_what_comes_in_goes_into_the_process_once_in_order(roster):
    for name in "abc":
        roster.add(chunk(name))

    assert names(roster.due()) == ["a", "b", "c"]
    assert roster.due() == []
    assert roster.is_inside


def test_slots_are_counted_without_asking_the_process(roster):
    rooms = [roster.room(interactive=True)]
    for name in "abc":
        roster.add(chunk(name))
        rooms.append(roster.room(interactive=True))
    roster.remove("a")
    rooms.append(roster.room(interactive=True))
    roster.remove("b")
    rooms.append(roster.room(interactive=True))

    assert rooms == [2, 1, 0, 0, 0, 1]
    assert (roster.active, roster.waiting) == (1, 0)


def test_a_cancelled_chunk_that_is_still_here_is_withdrawn(roster):
    roster.add(chunk("a"))

    roster.cancel("a")

    assert roster.withdrawn() == ["a"]
    assert roster.untold() == []


def test_the_process_is_told_once_of_a_cancelled_chunk_that_it_has(roster):
    roster.add(chunk("a"))
    roster.due()

    roster.cancel("a")

    assert roster.withdrawn() == []
    assert roster.untold() == ["a"]
    assert roster.untold() == []


def test_a_cancelled_chunk_does_not_go_into_the_next_process(roster):
    roster.add(chunk("a"))
    roster.due()
    roster.cancel("a")
    roster.untold()

    roster.bury()

    assert roster.withdrawn() == ["a"]


def test_cancelling_a_stranger_is_no_error(roster):
    roster.cancel("stranger")

    assert roster.withdrawn() == []


def test_only_chunks_with_a_slot_are_blamed_for_a_death():
    roster = Roster(slots=1, interactive_reserve=0, max_deaths=1)
    roster.add(chunk("computed"))
    roster.add(chunk("waiting"))
    roster.due()

    assert roster.bury() == ["computed"]


def test_a_chunk_that_was_never_in_the_process_is_not_blamed():
    roster = Roster(slots=1, interactive_reserve=0, max_deaths=1)
    roster.add(chunk("a"))

    assert roster.bury() == []


def test_there_is_no_room_while_there_are_suspects(roster):
    roster.add(chunk("a"))
    roster.due()

    roster.bury()

    assert roster.room(interactive=True) == 0
    roster.remove("a")
    assert roster.room(interactive=True) == 2


def test_suspects_run_before_everybody_else_and_without_them(roster):
    roster.add(chunk("a"))
    roster.due()
    roster.bury()
    roster.add(chunk("b"))

    first = names(roster.due())
    while_it_runs = names(roster.due())
    roster.remove("a")

    assert (first, while_it_runs) == (["a"], [])
    assert names(roster.due()) == ["b"]


@given(
    slots=st.integers(1, 6),
    count=st.integers(1, 25),
    killers=st.sets(st.integers(0, 24), max_size=3),
    seed=st.integers(0, 1000),
)
def test_every_chunk_ends_and_only_killers_are_given_up(slots, count, killers, seed):
    dice = random.Random(seed)
    roster = Roster(slots, interactive_reserve=1, max_deaths=3)
    for number in range(count):
        roster.add(chunk(str(number), interactive=dice.random() < 0.3))
    inside: list[str] = []
    finished: list[str] = []
    given_up: list[str] = []

    # The process computes a slot's worth at a time, and dies of the killers among it.
    while len(finished) + len(given_up) < count:
        inside += names(roster.due())
        computed = inside[:slots]
        if killers & set(map(int, computed)):
            ended, inside = roster.bury(), []
            given_up += ended
        else:
            ended = [dice.choice(computed)]
            inside.remove(ended[0])
            finished += ended
        for name in ended:
            roster.remove(name)

    assert set(map(int, given_up)) <= killers
    assert sorted(map(int, finished + given_up)) == list(range(count))
    assert killers & set(range(count)) == set(map(int, given_up))
    assert roster.room(interactive=True) == slots


def test_chunks_of_a_lead_are_let_in_and_wait_there():
    roster = Roster(slots=2, interactive_reserve=0, max_deaths=3, lead=1)

    for name in "abc":
        roster.add(chunk(name))

    assert roster.room(interactive=False) == 0
    assert names(roster.due()) == ["a", "b", "c"]
    assert (roster.active, roster.waiting) == (2, 1)


def test_an_engine_of_few_slots_hoards_nothing():
    assert [lead_of(slots) for slots in (1, 8, 31, 32, 384)] == [0, 0, 0, 8, 96]
