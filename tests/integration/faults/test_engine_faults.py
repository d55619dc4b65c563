"""Engines that hang, lack memory or lose their device, and jobs that kill: the rest is done."""

from __future__ import annotations

import os
import signal
import time

import pytest
from crew import Crew
from evidence import assert_settled

from producer import JobState
from tests.conftest import eventually, facts_of

pytestmark = [pytest.mark.service, pytest.mark.slow]

TEXTS = [f"line number {n:02}" for n in range(50)]


def test_an_engine_that_hangs_is_replaced_and_its_jobs_are_done(worker, farm, journal, report):
    worker(engine_process="own", hang_s=2, fake_speed=0.5)
    jobs = farm.submit_many(TEXTS[:16])
    eventually(lambda: len(journal.begun()) == 8)
    began_s = time.monotonic()

    os.kill(facts_of(farm)["engine_pid"], signal.SIGSTOP)

    assert [job.wait(90) for job in jobs] == [JobState.DONE] * 16
    took_s = time.monotonic() - began_s
    assert_settled(farm, jobs)
    assert facts_of(farm)["deaths"] == 1
    rerun = sum(n > 1 for n in journal.begun().values())
    report("engine hangs", tried=16, lost=0, twice=0, rerun=rerun, seconds=took_s)


def test_an_engine_without_memory_halves_its_batch_and_goes_on(worker, farm, journal, report):
    worker(fake_memory_bytes=3, fake_speed=4)
    began_s = time.monotonic()

    jobs = farm.submit_many(TEXTS)

    assert [job.wait(90) for job in jobs] == [JobState.DONE] * 50
    took_s = time.monotonic() - began_s
    assert_settled(farm, jobs)
    assert set(journal.begun().values()) == {1}
    report("engine out of memory", tried=50, lost=0, twice=0, rerun=0, seconds=took_s)


def test_an_error_of_the_device_costs_the_guilty_job_alone(worker, farm, journal, report):
    worker(engine_process="own", fake_fault_on="cursed", fake_speed=20)
    began_s = time.monotonic()

    jobs = farm.submit_many([*TEXTS[:20], "cursed", *TEXTS[20:]])

    states = [job.wait(120) for job in jobs]
    took_s = time.monotonic() - began_s
    guilty = jobs[20].row()
    assert (states.count(JobState.DONE), guilty.state, guilty.reason) == (50, "failed", "poison")
    assert "device-side assert" in guilty.detail
    rerun = sum(n > 1 for n in journal.begun().values())
    report("a fatal error of the device", tried=51, lost=0, twice=0, rerun=rerun, seconds=took_s)


def test_a_job_that_kills_its_worker_is_quarantined_and_fifty_good_ones_are_done(
    worker, farm, journal, report
):
    # Nobody gives back what the dead held: the short lease is for the sake of this test's time.
    def start(name: str):
        return worker(name, ready=False, lease_s=3, fake_abort_on="cursed", fake_speed=4)

    jobs = farm.submit_many([*TEXTS[:20], "cursed", *TEXTS[20:]])
    began_s = time.monotonic()
    with Crew(start, ["w"]) as crew:
        states = [job.wait(300) for job in jobs]
        took_s = time.monotonic() - began_s
        deaths = crew.deaths

    guilty = jobs[20].row()
    assert (states.count(JobState.DONE), guilty.state, guilty.reason) == (50, "failed", "poison")
    assert guilty.job is not None and guilty.job.text == "cursed"
    assert guilty.losses == 5 == deaths
    rerun = sum(n > 1 for n in journal.begun().values())
    name = "a job that kills its worker, restarted each time, lease of 3 s"
    report(name, tried=51, lost=0, twice=0, rerun=rerun, seconds=took_s)
