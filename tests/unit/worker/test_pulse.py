"""A worker is ill when its loop or its engine stands still, and never for want of a broker."""

from __future__ import annotations

import pytest

from worker.pulse import LOOP_STALL_S, REPLACE_S, Pulse


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock) -> Pulse:
    return Pulse(clock)


def test_before_the_first_beat_nothing_is_expected(pulse, clock):
    clock.now_s += 1000

    assert pulse.ailment(0.0, hang_s=1.0) == ""


def test_a_loop_that_stands_still_is_an_ailment(pulse, clock):
    pulse.beat()
    clock.now_s += LOOP_STALL_S
    well = pulse.ailment(0.0, hang_s=1.0)
    clock.now_s += 1

    assert well == ""
    assert "event loop" in pulse.ailment(0.0, hang_s=1.0)


def test_a_loop_that_rests_for_want_of_a_broker_is_well(pulse, clock):
    pulse.beat()
    pulse.rest()
    clock.now_s += 1000

    assert pulse.ailment(0.0, hang_s=1.0) == ""


def test_an_engine_that_hangs_gets_the_time_in_which_it_is_replaced(pulse):
    assert pulse.ailment(120.0 + REPLACE_S, hang_s=120.0) == ""
    assert "no step" in pulse.ailment(121.0 + REPLACE_S, hang_s=120.0)
