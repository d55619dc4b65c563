"""The arithmetic of the report: ratios within a round, medians over rounds, targets."""

from __future__ import annotations

import json

import pytest

from .measurement import Burst, Load, Measurement
from .report import Report


def measurement(contender: str, number: int, *, job_ms: float, p50_ms: float = 3.0) -> Measurement:
    """A thousand jobs, each queued in a millisecond."""
    burst = Burst(
        queued=1000,
        enqueue_s=1.0,
        waiting_bytes=2_000_000,
        drained=1000,
        drain_s=job_ms,
        drain_cpu_s=job_ms / 2,
    )
    return Measurement(contender, number, burst, latencies_ms=[p50_ms] * 99 + [p50_ms * 10])


@pytest.fixture
def measurements() -> list[Measurement]:
    """Three rounds; in the second one the machine was three times slower, for both."""
    slowness = {1: 1.0, 2: 3.0, 3: 1.0}
    return [
        measurement(contender, number, job_ms=job_ms * slow)
        for number, slow in slowness.items()
        for contender, job_ms in (("stock", 2.0), ("farm, store off", 3.0), ("farm, store on", 9.0))
    ]


def cells(report: Report, title: str) -> list[str]:
    lines = [line.strip("| ").split(" | ") for line in report.table().splitlines()]
    return next(line[1:] for line in lines if line[0] == title)


def test_a_ratio_is_taken_within_its_round_so_that_a_slow_round_does_not_change_it(measurements):
    report = Report(measurements, "stock")

    assert cells(report, "time per job, x stock") == ["1.00", "1.50", "4.50"]


def test_a_figure_is_the_median_of_the_rounds_with_its_least_and_most(measurements):
    report = Report(measurements, "stock")

    assert cells(report, "ms per job")[1] == "3.00 (3.00 to 9.00)"
    assert cells(report, "bytes per waiting job") == ["2,000"] * 3


def test_a_target_is_missed_by_the_median_alone(measurements):
    slow = measurement("farm, store off", 3, job_ms=4.2)
    once = [m for m in measurements if (m.contender, m.round) != (slow.contender, 3)] + [slow]
    twice = [m for m in once if (m.contender, m.round) != (slow.contender, 1)]
    twice.append(measurement("farm, store off", 1, job_ms=4.2))

    def missed(found: list[Measurement]) -> list[str]:
        return [line for met, line in Report(found, "stock").targets() if not met]

    assert missed(once) == []
    assert missed(twice) == ["farm, store off: time per job, x stock: 2.10 (at most 1.5)"]


def test_the_record_is_plain_json_with_every_measurement(measurements):
    load = Load(queued=1000, drained=1000, steady=100, steady_per_s=50, concurrency=8)

    record = Report(measurements, "stock").record(load, "a command", "valkey 9")

    assert json.loads(json.dumps(record))["measurements"][4]["burst"]["drain_s"] == 9.0
    assert record["versions"].keys() >= {"python", "celery", "kombu", "redis", "server"}
