"""Readiness: five states, and no way back from the last two."""

from __future__ import annotations

import pytest

from worker.readiness import Readiness, ReadinessBoard


def test_a_worker_begins_by_loading():
    assert ReadinessBoard(5.0).snapshot() == {"state": "loading", "since": 5.0, "detail": ""}


def test_each_state_is_entered_with_its_time_and_reason():
    board = ReadinessBoard(0.0)

    board.enter(Readiness.BROKEN, 7.0, "no such file")

    assert board.snapshot() == {"state": "broken", "since": 7.0, "detail": "no such file"}


@pytest.mark.parametrize("last", [Readiness.DRAINING, Readiness.BROKEN])
def test_a_worker_that_drains_or_is_broken_takes_no_work_again(last):
    board = ReadinessBoard(0.0)
    board.enter(last, 1.0)

    entered = board.enter(Readiness.READY, 2.0)

    assert not entered
    assert board.state is last


def test_a_new_engine_process_loads_behind_a_worker_that_was_ready():
    board = ReadinessBoard(0.0)
    board.enter(Readiness.READY, 1.0)

    assert board.enter(Readiness.LOADING, 2.0)


def test_the_same_state_keeps_its_time():
    board = ReadinessBoard(0.0)
    board.enter(Readiness.READY, 1.0)
    board.enter(Readiness.READY, 2.0)

    assert board.snapshot()["since"] == 1.0
