"""Restarts: at once after a good life, more and more slowly after bad ones, and not for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.restarts import FIRST_PAUSE_S, LONGEST_PAUSE_S, STABLE_S, START_TRIES, Restarts


def test_a_worker_that_did_well_is_started_again_at_once():
    restarts = Restarts()

    pauses = [restarts.pause_s(STABLE_S) for _ in range(9)]

    assert pauses == [0.0] * 9
    assert restarts.count == 9


def test_the_pause_doubles_up_to_its_limit_while_workers_live_briefly():
    restarts = Restarts()

    pauses = [restarts.pause_s(1.0) for _ in range(8)]

    assert pauses[:4] == [0.0, FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_good_life_ends_the_series():
    restarts = Restarts()
    for _ in range(5):
        restarts.pause_s(1.0)

    assert restarts.pause_s(STABLE_S + 1) == 0.0


def test_who_dies_before_it_is_ready_is_given_up_after_some_tries():
    restarts = Restarts()

    pauses = [restarts.pause_s(None) for _ in range(START_TRIES)]

    assert pauses[-1] is None
    assert None not in pauses[:-1]
    assert restarts.count == START_TRIES - 1


def test_who_says_that_it_cannot_load_is_believed_at_once():
    assert Restarts().pause_s(None, hopeless=True) is None


def test_who_could_load_before_is_tried_again_though_it_says_that_it_cannot():
    restarts = Restarts()
    restarts.pause_s(STABLE_S)

    assert restarts.pause_s(None, hopeless=True) is not None


@given(st.lists(st.none() | st.floats(0, 1000), max_size=40))
def test_nobody_is_given_up_who_was_ready_at_one_of_its_last_tries(lives):
    restarts = Restarts()
    early = 0

    for ready_s in lives:
        early = early + 1 if ready_s is None else 0
        pause_s = restarts.pause_s(ready_s)
        assert (pause_s is None) == (early >= START_TRIES)
        if pause_s is None:
            break
        assert 0 <= pause_s <= LONGEST_PAUSE_S
