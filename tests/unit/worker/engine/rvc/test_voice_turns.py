"""Recordings of one voice share a batch, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.rvc.voice_turns import TurnLimits, next_turn


@dataclass(frozen=True)
class Recording:
    number: int
    voice: str
    duration_s: float


limits = st.builds(TurnLimits, duration_s=st.floats(1, 60), voices=st.integers(1, 4))
queues = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.1, 90)), max_size=40).map(
    lambda pairs: [Recording(number, *pair) for number, pair in enumerate(pairs)]
)
here = st.frozensets(st.sampled_from("abcdef"))


@given(queues, limits, here)
def test_a_batch_keeps_its_limits_unless_it_is_one_long_recording(waiting, limits, here):
    turn = next_turn(waiting, limits, here)

    assert len({one.voice for one in turn}) <= limits.voices
    # Subtracting one by one rounds.
    assert len(turn) <= 1 or sum(one.duration_s for one in turn) <= limits.duration_s + 1e-9


@given(queues, limits, here)
def test_a_batch_begins_with_the_oldest_and_keeps_voices_together_and_in_order(
    waiting, limits, here
):
    turn = next_turn(waiting, limits, here)

    assert turn[:1] == waiting[:1]
    assert len(set(turn)) == len(turn)
    changes = sum(one.voice != other.voice for one, other in pairwise(turn))
    assert changes == max(0, len({one.voice for one in turn}) - 1)
    for voice in {one.voice for one in turn}:
        taken = [one for one in turn if one.voice == voice]
        assert taken == [one for one in waiting if one.voice == voice][: len(taken)]


@given(queues, limits, here, st.lists(st.sampled_from("abcdef"), max_size=30))
def test_nobody_waits_longer_than_all_who_came_before(waiting, limits, here, rivals):
    # Given rivals of which one more comes with every batch
    last = waiting[-1] if waiting else None
    ahead, batches = len(waiting), 0
    queue = list(waiting)

    # When batches are taken
    while last is not None and last in queue:
        turn = next_turn(queue, limits, here)
        queue = [one for one in queue if one not in turn]
        if batches < len(rivals):
            queue.append(Recording(1000 + batches, rivals[batches], 0.2))
        batches += 1

    # Then the last one to come had to wait for those before it at most
    assert batches <= ahead


@given(queues, limits)
def test_everything_is_taken_once(waiting, limits):
    queue, taken = list(waiting), []
    while queue:
        turn = next_turn(queue, limits)
        taken += turn
        queue = [one for one in queue if one not in turn]

    assert sorted(one.number for one in taken) == [one.number for one in waiting]


def test_a_voice_gets_its_whole_queue_before_another_gets_room():
    waiting = [Recording(n, "ab"[n % 2], 1.0) for n in range(10)]

    turn = next_turn(waiting, TurnLimits(duration_s=7.0, voices=2))

    assert [one.number for one in turn] == [0, 2, 4, 6, 8, 1, 3]


def test_room_that_is_left_goes_to_voices_that_are_here():
    waiting = [Recording(n, voice, 1.0) for n, voice in enumerate("abcd")]

    turn = next_turn(waiting, TurnLimits(voices=3), frozenset("d"))

    assert [one.voice for one in turn] == ["a", "d", "b"]
