"""Demand: which batches need workers now, and for how much audio."""

from __future__ import annotations

import math

import pytest

from producer.batch.batch_row import BatchRow
from producer.batch.demand import held_back
from producer.batch.schedule import Schedule
from producer.state import JobState

NOW_S = 1_700_000_000.0


def batch(*, waiting: int = 10, schedule: Schedule = Schedule(), **fields) -> BatchRow:  # noqa: B008
    """One that may run, and of which three items are queued already."""
    counts = dict.fromkeys(JobState, 0) | {JobState.WAITING_WINDOW: waiting, JobState.QUEUED: 3}
    known = {
        "id": "b" * 24, "name": "book", "client": "me", "created_s": 0.0, "items": waiting + 3,
        "is_whole": True, "paused": False, "cancelled": False, "next": 3, "written_s": 0.0,
    }  # fmt: skip
    audio_s = {state: 2.0 * count for state, count in counts.items()}
    return BatchRow(schedule=schedule, counts=counts, audio_s=audio_s, **(known | fields))


def test_what_open_batches_hold_is_demand_and_what_is_queued_is_not_counted_twice():
    assert held_back([batch(), batch(waiting=5)], NOW_S, all_paused=False) == (15, 30.0)


@pytest.mark.parametrize(
    "held",
    [
        batch(paused=True),
        batch(is_whole=False),
        batch(is_whole=False, cancelled=True),
        batch(schedule=Schedule(not_before_s=NOW_S + 60)),
    ],
)
def test_a_batch_that_may_not_run_wakes_nobody(held):
    assert held_back([held], NOW_S, all_paused=False) == (0, 0.0)


def test_while_all_are_paused_nobody_is_woken():
    assert held_back([batch()], NOW_S, all_paused=True) == (0, 0.0)


@pytest.mark.parametrize("ended", [{"cancelled": True}, {"schedule": Schedule(deadline_s=NOW_S)}])
def test_a_batch_that_must_be_ended_needs_a_worker_and_no_time_of_it(ended):
    assert held_back([batch(**ended, paused=True)], NOW_S, all_paused=True) == (10, 0.0)


def test_a_batch_is_demand_from_the_moment_its_window_opens():
    later = batch(schedule=Schedule(not_before_s=NOW_S, deadline_s=math.inf))

    assert held_back([later], NOW_S - 1, all_paused=False).jobs == 0
    assert held_back([later], NOW_S, all_paused=False).jobs == 10
