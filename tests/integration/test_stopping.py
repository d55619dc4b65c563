"""Stopping: what runs may finish, the rest goes back, and a second signal is heard at once."""

from __future__ import annotations

import signal
import time

import pytest

from producer import JobFailed, JobState
from producer.queues import DELIVERIES_KEY, LEASES_KEY
from tests.conftest import eventually

pytestmark = pytest.mark.service

QUEUE = "speech.batch"

#: More than a worker takes to end, on a machine that is shared, and less than a drain here.
HURRY_S = 20.0


def test_a_warm_stop_finishes_what_runs_and_gives_back_what_waits(start_worker, farm, client):
    worker = start_worker(slots=2, interactive_share=0, fake_speed=1)
    jobs = farm.submit_many(f"line {n}" for n in range(6))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in jobs) == 2)

    assert worker.stop() == 0

    states = [job.status for job in jobs]
    assert states.count(JobState.DONE) >= 2
    assert states.count(JobState.RUNNING) == 0
    assert client.llen(QUEUE) == states.count(JobState.QUEUED)
    assert client.hlen("unacked") == 0


def test_a_cold_stop_gives_everything_back_and_cancels_nothing(start_worker, farm, client):
    worker = start_worker(slots=3, interactive_share=0, fake_speed=0.1)
    jobs = farm.submit_many(f"line {n}, spoken very slowly" for n in range(6))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in jobs) == 3)

    worker.stop(signal.SIGQUIT)

    assert {job.status for job in jobs} == {JobState.QUEUED}
    assert (client.llen(QUEUE), client.hlen("unacked")) == (6, 0)
    start_worker("next", slots=8, interactive_share=0)
    assert [job.wait(30) for job in jobs] == [JobState.DONE] * 6


def test_what_a_drain_has_no_time_for_goes_back_and_is_no_loss(start_worker, farm, client):
    worker = start_worker(slots=2, interactive_share=0, fake_speed=0.1, drain_s=1)
    jobs = farm.submit_many(f"line {n}, spoken far too slowly for this" for n in range(2))
    eventually(lambda: all(job.status is JobState.RUNNING for job in jobs))

    worker.stop()

    assert {job.status for job in jobs} == {JobState.QUEUED}
    assert client.llen(QUEUE) == 2
    assert (client.zcard(DELIVERIES_KEY), client.hlen(LEASES_KEY)) == (0, 0)
    start_worker("next", slots=2, interactive_share=0)
    assert [job.wait(30) for job in jobs] == [JobState.DONE] * 2
    assert {(job.row().attempts, job.row().losses) for job in jobs} == {(2, 0)}


def test_a_job_longer_than_three_leases_runs_once_through_a_drain(start_worker, farm):
    draining = start_worker(slots=1, interactive_share=0, fake_speed=0.1, lease_s=3, drain_s=120)
    job = farm.submit_many(["a line of text, slow"])[0]
    eventually(lambda: job.status is JobState.RUNNING)
    began_s = time.monotonic()
    start_worker("idle", slots=1, interactive_share=0, lease_s=3)

    assert draining.stop(timeout_s=100) == 0

    assert time.monotonic() - began_s > 9
    row = job.row()
    assert (row.state, row.node, row.attempts) == (JobState.DONE, "w@test", 1)


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGQUIT),
        (signal.SIGQUIT,),
    ],
    ids=lambda signals: "+".join(one.name for one in signals),
)
def test_a_second_signal_or_a_quit_hands_everything_back(start_worker, farm, client, signals):
    worker = start_worker(slots=3, interactive_share=0, fake_speed=0.1, drain_s=600)
    jobs = farm.submit_many(f"line {n}, spoken for minutes" * 8 for n in range(5))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in jobs) == 3)

    for number, how in enumerate(signals):
        if number:
            # Two that came at the same time would be one.
            eventually(lambda: "Warm shutdown" in worker.log)
        worker.process.send_signal(how)

    eventually(lambda: (client.llen(QUEUE), client.zcard(DELIVERIES_KEY)) == (5, 0), HURRY_S)
    assert {job.status for job in jobs} == {JobState.QUEUED}
    worker.process.wait(HURRY_S)


def test_a_job_that_runs_for_too_long_fails_with_that_reason_and_frees_its_row(start_worker, farm):
    start_worker(slots=1, interactive_share=0, fake_speed=0.5, time_limit_s=3)
    long, short = farm.submit_many(["a line that would take half a minute to speak", "hi"])

    with pytest.raises(JobFailed, match="time_limit"):
        long.result(60)

    assert short.wait(30) is JobState.DONE
    assert long.row().state is JobState.FAILED


def test_the_time_limit_of_celerys_own_command_line_counts(start_worker, farm):
    start_worker("w", "--time-limit=2", slots=1, fake_speed=0.1)

    with pytest.raises(JobFailed, match="time_limit"):
        farm.submit("a line that would take half a minute to speak").result(60)
