"""The reconciler: jobs without a message get one, what merely waits is left alone."""

from __future__ import annotations

import time

import pytest

from producer import JobState
from producer.job import assemble_job, new_job_id, speech_job
from producer.queues import (
    ASSEMBLY_QUEUE,
    DELIVERIES_KEY,
    LEASES_KEY,
    RECONCILER_KEY,
    Priority,
    job_key,
)
from tests.conftest import eventually
from worker.reconciler import Reconciler

pytestmark = pytest.mark.service

QUEUE = "speech.batch"


@pytest.fixture
def reconciler(client, farm) -> Reconciler:
    """One that knows no patience; its rounds are called by hand."""
    return Reconciler(client, farm.broker.send_again, grace_s=0)


def row_alone(farm, text: str = "a client died before it sent me") -> str:
    """What a client leaves that dies between a row and its message."""
    job_id = new_job_id()
    farm.ledger.create(job_id, speech_job(text, priority=Priority.BATCH), time.time())
    return job_id


def sweep_once(reconciler: Reconciler, rounds: int = 20) -> None:
    for _ in range(rounds):
        assert reconciler.round()


def test_a_job_whose_client_died_before_it_sent_the_message_is_done(start_worker, farm):
    job_id = row_alone(farm)

    start_worker(lease_s=3)

    assert farm.job(job_id).wait(60) is JobState.DONE
    assert farm.job(job_id).row().attempts == 1


def test_a_job_whose_message_went_with_its_worker_is_done(start_worker, farm, client):
    job = farm.submit_many(["taken from the queue, and never seen again"])[0]
    farm.ledger.start(job.id, "dead@test", time.time(), "token", "a tag that nobody holds")
    assert client.rpop(QUEUE) is not None

    start_worker(lease_s=3)

    assert job.wait(60) is JobState.DONE
    assert job.row().losses == 1


def test_what_waits_in_a_queue_of_many_pieces_is_left_alone_and_the_lost_one_is_found(
    reconciler, farm, client
):
    jobs = farm.submit_many(f"line number {n}" for n in range(1_200))
    lost = row_alone(farm)

    sweep_once(reconciler)

    assert reconciler.resent == 1
    assert client.llen(QUEUE) == len(jobs) + 1
    assert lost in client.lindex(QUEUE, 0)


def test_a_book_that_lost_its_message_gets_another_on_its_own_queue(reconciler, farm, client):
    waiting, under_way = (new_job_id() for _ in range(2))
    for job_id in (waiting, under_way):
        farm.ledger.create(job_id, assemble_job("0" * 24), time.time())
    farm.ledger.start(under_way, "dead@test", time.time(), "token", "a tag that nobody holds")
    assert farm.ledger.change(under_way, JobState.ASSEMBLING, time.time(), token="token")

    sweep_once(reconciler)

    assert (reconciler.resent, client.llen(QUEUE), client.llen(ASSEMBLY_QUEUE)) == (2, 0, 2)
    _, losses = farm.ledger.start(under_way, "w@test", time.time(), "another", "tag")
    assert losses == 1


def test_a_delivered_message_counts_as_one(reconciler, farm, client):
    jobs = farm.submit_many(["running", "taken and not started"])
    for tag, job in zip("ab", jobs, strict=True):
        client.hset("unacked", tag, client.rpop(QUEUE))
        client.zadd(DELIVERIES_KEY, {tag: time.time()})
        if tag == "a":
            farm.ledger.start(job.id, "w@test", time.time(), "token", tag)

    sweep_once(reconciler)

    assert (reconciler.resent, client.llen(QUEUE)) == (0, 0)


def test_a_job_is_not_given_a_message_while_its_client_may_still_send_it(client, farm):
    reconciler = Reconciler(client, farm.broker.send_again, grace_s=60)
    row_alone(farm)

    sweep_once(reconciler)

    assert client.llen(QUEUE) == 0


def test_a_job_that_got_a_message_gets_no_other_before_that_one_had_its_time(client, farm):
    job_id = row_alone(farm)
    client.hset(job_key(job_id), "at:queued", time.time() - 100)
    client.zadd("voicefarm:state:queued", {job_id: time.time() - 100})
    sent = []
    for _ in range(2):
        # Each sweeps for the first time, and the message is lost again in between.
        sweep_once(Reconciler(client, farm.broker.send_again, grace_s=60), 5)
        sent.append(client.llen(QUEUE))
        client.delete(QUEUE)

    assert sent == [1, 0]


def test_who_held_a_message_is_forgotten_once_nobody_does(reconciler, client):
    client.hset(LEASES_KEY, mapping={"held": "w@test/1", "taken back": "w@test/1"})
    client.zadd(DELIVERIES_KEY, {"held": time.time()})

    sweep_once(reconciler)

    assert client.hkeys(LEASES_KEY) == ["held"]


def test_one_worker_at_a_time_sweeps_and_the_next_follows_when_it_stops(client, farm):
    first, second = (Reconciler(client, farm.broker.send_again, grace_s=60) for _ in range(2))
    first.start("first")
    eventually(lambda: client.get(RECONCILER_KEY) == "first")
    second._election.holder = "second"

    assert not second.round()
    first.close()

    assert second.round()
