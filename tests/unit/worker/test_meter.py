"""A worker's rate: only while it has work, only after it is warm."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.meter import ENOUGH_S, WARM_UP_S, Meter

#: Seconds of work after which a rate is known.
KNOWN_S = int(WARM_UP_S + ENOUGH_S) + 2


def worked(meter: Meter, rate: float, seconds: int, start_s: int = 0, made_s: float = 0.0) -> float:
    """Look every second at a worker of this rate; returns what it has made by the end."""
    for second in range(seconds + 1):
        meter.look(start_s + second, made_s + rate * second, busy=True)
    return made_s + rate * seconds


def test_a_rate_is_unknown_until_there_was_enough_work():
    meter = Meter()

    worked(meter, 5.0, int(WARM_UP_S + ENOUGH_S) - 2)

    assert meter.rate is None


@settings(deadline=None)
@given(rate=st.floats(0.01, 5_000), seconds=st.integers(KNOWN_S, 500))
def test_a_steady_rate_is_measured(rate, seconds):
    meter = Meter()

    worked(meter, rate, seconds)

    assert abs(meter.rate / rate - 1) < 1e-6


def test_the_slow_beginning_does_not_count():
    meter = Meter()

    made_s = worked(meter, 0.1, int(WARM_UP_S))
    worked(meter, 8.0, 60, start_s=int(WARM_UP_S), made_s=made_s)

    assert abs(meter.rate - 8.0) < 0.01


def test_idle_time_changes_nothing():
    meter = Meter()
    made_s = worked(meter, 8.0, KNOWN_S)
    before = meter.rate

    meter.look(KNOWN_S + 1, made_s, busy=False)
    meter.look(KNOWN_S + 5_000, made_s + 1, busy=True)

    assert meter.rate == before


def test_another_engine_that_counts_from_nothing_is_not_measured_backwards():
    meter = Meter()
    worked(meter, 8.0, KNOWN_S)
    before = meter.rate

    meter.look(KNOWN_S + 1, 0.5, busy=True)

    assert meter.rate == before


def test_a_farm_that_gets_slower_is_believed_after_a_while():
    meter = Meter()
    made_s = worked(meter, 10.0, 400)

    worked(meter, 2.0, 1_500, start_s=400, made_s=made_s)

    assert 1.9 < meter.rate < 2.2
