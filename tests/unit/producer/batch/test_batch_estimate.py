"""An estimate is work over a measured rate, and unknown where nothing was measured."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest

from producer.batch.estimate import CONVERTED, PLAIN, STALE_S, estimate, farm_rate, path_of
from producer.batch.schedule import Schedule
from producer.batch.window import Window


def published(**rates: float | None) -> dict[str, str]:
    return {
        node: json.dumps({"at_s": 1000.0, "rates": {PLAIN: rate, CONVERTED: None}})
        for node, rate in rates.items()
    }


def test_the_rate_of_a_farm_is_that_of_its_workers_together():
    assert farm_rate(published(a=10.0, b=2.5), PLAIN, 1000.0) == 12.5


@pytest.mark.parametrize(
    ("rates", "path", "now_s"),
    [
        ({}, PLAIN, 1000.0),
        ({"a": None}, PLAIN, 1000.0),
        ({"a": 10.0, "b": None}, PLAIN, 1000.0),
        ({"a": 10.0}, CONVERTED, 1000.0),
        ({"a": 10.0}, "mixed", 1000.0),
        ({"a": 10.0}, PLAIN, 1000.0 + STALE_S),
    ],
)
def test_a_rate_that_one_worker_does_not_know_is_unknown(rates, path, now_s):
    assert farm_rate(published(**rates), path, now_s) is None


def test_a_worker_that_is_gone_counts_no_more():
    rates = published(a=10.0) | {"old": json.dumps({"at_s": 0.0, "rates": {PLAIN: 99.0}})}

    assert farm_rate(rates, PLAIN, 1000.0) == 10.0


def test_work_over_rate_is_the_end():
    answer = estimate(Schedule(), 1000.0, backlog_s=600.0, rate=3.0)

    assert (answer.finish_s, answer.in_time) == (1200.0, True)


def test_closed_hours_do_not_count():
    # 1970-01-01, 00:00: the window is open from ten to eleven in the evening.
    window = Schedule(Window.parse("22:00-23:00", ZoneInfo("UTC")))

    answer = estimate(window, 0.0, backlog_s=5400.0, rate=1.0)

    assert answer.finish_s == 22 * 3600 + 86_400 + 1800


def test_an_unknown_rate_makes_the_end_unknown_and_is_no_promise():
    answer = estimate(Schedule(), 1000.0, backlog_s=600.0, rate=None)

    assert (answer.finish_s, answer.in_time) == (None, None)


def test_what_does_not_fit_before_the_deadline_is_not_in_time():
    answer = estimate(Schedule(deadline_s=1100.0), 1000.0, backlog_s=600.0, rate=3.0)

    assert (answer.finish_s, answer.in_time) == (None, False)


def test_the_way_of_items_that_do_not_agree_is_measured_by_nobody():
    assert [path_of(3, n) for n in (0, 3, 1)] == [PLAIN, CONVERTED, "mixed"]
