"""Engines of real workers that cannot be loaded, are killed, or die of a text."""

from __future__ import annotations

import os
import signal

import pytest

from producer import JobState
from tests.conftest import eventually, facts_of

pytestmark = pytest.mark.service


def test_an_engine_that_cannot_be_loaded_ends_the_worker_with_the_reason(start_worker, farm):
    job = farm.submit("wait for a better worker")
    worker = start_worker(ready=False, fake_load_error="no such checkpoint")

    assert worker.process.wait(60) == 70
    assert "no such checkpoint" in worker.log
    assert job.status is JobState.QUEUED


def test_a_killed_engine_process_costs_no_job(start_worker, farm):
    worker = start_worker(engine_process="own", slots=4, interactive_share=0, fake_speed=0.2)
    engine = facts_of(farm)["engine_pid"]
    jobs = farm.submit_many(f"line number {n}" for n in range(4))
    eventually(lambda: facts_of(farm)["active"] == 4)

    os.kill(engine, signal.SIGKILL)

    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 4
    facts = facts_of(farm)
    assert (facts["state"], facts["deaths"]) == ("ready", 1)
    assert worker.process.poll() is None


def test_a_text_that_kills_its_engine_process_fails_alone_and_can_be_freed(start_worker, farm):
    worker = start_worker(engine_process="own", slots=8, fake_abort_on="poison")

    texts = [f"line number {n}" for n in range(50)]
    jobs = farm.submit_many([*texts[:20], "the poison", *texts[20:]])

    states = [job.wait(60) for job in jobs]
    poison = jobs.pop(20)
    assert states.count(JobState.DONE) == 50
    row = poison.row()
    assert (row.state, row.reason, row.losses) == (JobState.FAILED, "poison", 0)
    assert row.job is not None and row.job.text == "the poison"
    assert not jobs[0].retry()

    worker.stop()
    start_worker("healed")
    assert poison.retry()
    assert poison.wait(30) is JobState.DONE
    assert poison.row().reason == ""
