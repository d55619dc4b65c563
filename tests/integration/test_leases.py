"""Leases: a job is run again when its worker is lost, and never because it takes long."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from producer import JobState
from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY
from tests.conftest import eventually
from tests.integration.messages import QUEUE, take
from worker.courier import Courier
from worker.deliveries import restore_overdue
from worker.lease import Leases, release

pytestmark = pytest.mark.service


@pytest.fixture
def leases(client) -> Leases:
    courier = Courier(client)
    leases = Leases(client, 3, courier)
    leases.start("w@test")
    yield leases
    leases.close()
    courier.close()


def test_what_is_held_is_renewed_and_what_is_acknowledged_is_gone(leases, client):
    take(client, leases, "a", "1")
    take(client, leases, "b", "2")
    taken_s = client.zscore(DELIVERIES_KEY, "a")

    eventually(lambda: client.zscore(DELIVERIES_KEY, "a") > taken_s)
    leases.finish("b")

    eventually(lambda: client.hkeys(LEASES_KEY) == ["a"])
    assert client.zrange(DELIVERIES_KEY, 0, -1) == ["a"]
    assert leases.held == 1


def test_a_worker_that_lost_a_lease_is_told_and_can_not_acknowledge(leases, client):
    lost: list[str] = []
    take(client, leases, "a", "1")
    leases.when_lost("a", lambda: lost.append("a"))

    client.hset(LEASES_KEY, "a", "somebody/else")

    eventually(lambda: lost == ["a"])
    leases.finish("a")
    leases.close()
    assert client.hget(LEASES_KEY, "a") == "somebody/else"
    assert leases.lost == 1


def test_what_a_dead_worker_held_goes_back_at_once_and_nothing_else(leases, client):
    take(client, leases, "a", "1")
    client.hset(LEASES_KEY, "other", "v@test/1")

    assert release(client, "w@test") == 1

    [entry] = client.lrange(QUEUE, 0, -1)
    assert json.loads(entry)["headers"] == {"id": "1", "redelivered": True}
    assert client.hkeys(LEASES_KEY) == ["other"]
    assert release(client, "w@test") == 0


def test_a_close_gives_back_what_is_held(leases, client):
    take(client, leases, "a", "1")

    leases.close()

    assert (client.llen(QUEUE), client.hlen(LEASES_KEY)) == (1, 0)


def test_the_jobs_of_a_killed_worker_run_again_and_each_is_done_once(start_worker, farm, home):
    dying = start_worker("dying", slots=8, interactive_share=0, fake_speed=0.2, lease_s=5)
    jobs = farm.submit_many(f"line number {n}" for n in range(8))
    eventually(lambda: all(job.status is JobState.RUNNING for job in jobs))

    os.killpg(dying.process.pid, signal.SIGKILL)
    start_worker("next", slots=8, interactive_share=0, lease_s=5)

    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 8
    assert {job.row().attempts for job in jobs} == {2}
    assert len(list((home / "processed").glob("??/*/audio.wav"))) == 8


def test_a_job_longer_than_three_leases_runs_once_beside_an_idle_worker(start_worker, farm):
    start_worker("one", slots=1, interactive_share=0, fake_speed=0.1, lease_s=3)
    job = farm.submit_many(["a line of text, slow"])[0]
    eventually(lambda: job.status is JobState.RUNNING)
    began_s = time.monotonic()
    other = start_worker("two", slots=1, interactive_share=0, lease_s=3)

    assert job.wait(90) is JobState.DONE

    assert time.monotonic() - began_s > 9
    assert job.row().attempts == 1
    assert other.process.poll() is None


def test_jobs_run_once_while_every_connection_is_cut_again_and_again(start_worker, farm, client):
    start_worker(slots=8, interactive_share=0, fake_speed=0.3, lease_s=10)
    jobs = farm.submit_many(f"line number {n:02}" for n in range(24))
    eventually(lambda: jobs[0].status is JobState.RUNNING)

    for _ in range(5):
        client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.5)

    assert [job.wait(90) for job in jobs] == [JobState.DONE] * 24
    assert {job.row().attempts for job in jobs} == {1}


def test_a_worker_that_was_frozen_neither_publishes_nor_changes_what_others_have_done(
    start_worker, farm, home
):
    # Slower than another worker starts on a busy machine: once its take is there, it would meet the
    # lost claim before the lost lease.
    frozen = start_worker("frozen", slots=1, interactive_share=0, fake_speed=0.03, lease_s=3)
    job = farm.submit_many(["a line of text"])[0]
    eventually(lambda: job.status is JobState.RUNNING)
    os.killpg(frozen.process.pid, signal.SIGSTOP)
    start_worker("next", slots=1, interactive_share=0, lease_s=3)
    assert job.wait(60) is JobState.DONE
    done, [written] = job.row(), (home / "processed").glob("??/*")
    inode = written.stat().st_ino

    os.killpg(frozen.process.pid, signal.SIGCONT)
    eventually(lambda: "a lease was lost" in frozen.log)
    frozen.stop()

    assert job.row() == done
    assert (done.node, done.attempts, done.losses) == ("next@test", 2, 1)
    assert written.stat().st_ino == inode
    assert not any((home / "processed" / ".staging").iterdir())


def test_a_worker_that_died_while_it_looked_for_what_ran_out_holds_up_no_other(
    start_worker, farm, client
):
    # Given what kombu leaves of a worker that is killed at that moment: a lock of five minutes
    client.set("unacked_mutex", "of the dead", ex=300)
    dying = start_worker("dying", slots=8, interactive_share=0, fake_speed=0.2, lease_s=3)
    job = farm.submit_many(["a line of text"])[0]
    eventually(lambda: job.status is JobState.RUNNING)

    os.killpg(dying.process.pid, signal.SIGKILL)
    start_worker("next", slots=8, interactive_share=0, lease_s=3)

    assert job.wait(30) is JobState.DONE


def test_what_ran_out_goes_back_and_nothing_that_is_renewed(leases, client):
    now_s = time.time()
    for tag, age_s in {"old": 100, "young": 10, "gone": 100}.items():
        take(client, leases, tag, tag)
        client.zadd(DELIVERIES_KEY, {tag: now_s - age_s})
    client.hdel(DELIVERED_KEY, "gone")

    assert restore_overdue(client, 90) == 1

    [entry] = client.lrange(QUEUE, 0, -1)
    assert json.loads(entry)["headers"] == {"id": "old", "redelivered": True}
    assert client.zrange(DELIVERIES_KEY, 0, -1) == ["young"]
    assert client.hkeys(LEASES_KEY) == ["young"]
    assert restore_overdue(client, 90) == 0
