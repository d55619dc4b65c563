"""Celery's own commands, as an operator gives them: they tell of the engine, scale and revoke."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from producer import JobState
from tests.conftest import CHECKOUT, eventually, facts_of

pytestmark = pytest.mark.service


def celery(redis_url: str, home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Celery's own command line against the farm."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "VOICEFARM_BROKER_URL": redis_url, "VOICEFARM_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def inspected(redis_url: str, home, command: str) -> dict[str, Any]:
    """What the worker answers, once it does."""
    asked = ("inspect", command, "--json", "--timeout=10", "-d", "w@test")
    answer = eventually(lambda: celery(redis_url, home, *asked).stdout)
    return json.loads(answer)["w@test"]


def test_a_worker_answers_loading_and_takes_nothing_until_it_is_ready(
    start_worker, farm, client, redis_url, home
):
    job = farm.submit("I was here before the worker")
    start_worker(fake_load_s=6, ready=False)

    loading = facts_of(farm)
    held_while_loading, state_while_loading = client.hlen("unacked"), job.status

    assert loading["state"] == "loading"
    assert (held_while_loading, state_while_loading) == (0, JobState.QUEUED)
    assert job.wait(30) is JobState.DONE
    ready = inspected(redis_url, home, "gpu_ready")
    stats = inspected(redis_url, home, "stats")
    assert ready["state"] == "ready"
    assert stats["voicefarm"].keys() == ready.keys()
    assert stats["voicefarm"]["state"] == "ready"


def test_what_the_engine_offers_is_told_through_inspect_and_to_clients(
    start_worker, farm, redis_url, home
):
    start_worker()

    voices = inspected(redis_url, home, "voices")
    engine = inspected(redis_url, home, "engine")

    assert set(voices["voices"]) == {voice.name for voice in farm.voices().voices}
    assert engine["slots"] == facts_of(farm)["slots"]


def test_plain_autoscale_grows_with_a_burst_and_shrinks_when_idle(start_worker, farm, client):
    worker = start_worker("w", "--autoscale=8,2", slots=8, fake_speed=2, idle_thread_s=1)

    def threads() -> int:
        stats = farm.broker.celery.control.inspect(timeout=10, destination=["w@test"]).stats()
        return stats["w@test"]["pool"]["max-concurrency"] if stats else 0

    assert threads() == 2
    jobs = farm.submit_many(f"burst line number {n}, spoken slowly" for n in range(24))
    eventually(lambda: threads() == 8, 10)

    assert all(job.wait(60) is JobState.DONE for job in jobs)
    eventually(lambda: threads() == 2, 20)
    assert worker.process.poll() is None


def test_a_job_revoked_with_celery_is_cancelled_in_the_ledger(start_worker, farm, redis_url, home):
    start_worker(slots=2, fake_speed=0.02)
    job = farm.submit("a line that would take minutes to speak")
    eventually(lambda: job.status is JobState.RUNNING)

    celery(redis_url, home, "control", "terminate", "SIGTERM", job.id)

    assert job.wait(30) is JobState.CANCELLED
