"""Time limits: whatever runs for too long is ended, nothing else is, and never afterwards."""

from __future__ import annotations

import threading

import pytest

from worker.time_limits import TimeLimits

#: Longer than anything here takes; reached only if something hangs.
PATIENCE_S = 10.0


@pytest.fixture
def limits() -> TimeLimits:
    return TimeLimits()


def test_what_runs_for_too_long_is_ended(limits):
    ended = threading.Event()

    with limits.within(0.01, ended.set):
        assert ended.wait(PATIENCE_S)


def test_what_has_ended_in_time_is_left_alone(limits):
    ended, other = threading.Event(), threading.Event()

    with limits.within(0.2, ended.set):
        pass
    with limits.within(0.3, other.set):
        assert other.wait(PATIENCE_S)

    assert not ended.is_set()


def test_no_limit_is_none(limits):
    with limits.within(None, lambda: pytest.fail("ended")):
        pass

    assert limits._thread is None


def test_limits_are_kept_in_the_order_in_which_they_are_due(limits):
    order: list[str] = []
    last = threading.Event()

    with (
        limits.within(0.2, last.set),
        limits.within(0.1, lambda: order.append("second")),
        limits.within(0.01, lambda: order.append("first")),
    ):
        assert last.wait(PATIENCE_S)

    assert order == ["first", "second"]


def test_an_action_that_fails_does_not_end_the_watch(limits):
    def fail() -> None:
        raise ZeroDivisionError

    ended = threading.Event()
    with limits.within(0.01, fail), limits.within(0.05, ended.set):
        assert ended.wait(PATIENCE_S)


def test_what_has_ended_is_not_waited_for(limits):
    with limits.within(3600, lambda: None):
        with limits.within(7200, lambda: None):
            pass
        # Behind one that runs it may stay until that has ended.
        assert len(limits._due) == 2

    assert not limits._due
