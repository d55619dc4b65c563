"""A batch from its client's first item to its end: books, retries, and what is forgotten when."""

from __future__ import annotations

import json
import time

import pytest
from rounds import LINE, counts, dispatcher_of, queued_ids, run_one

from producer import InvalidItem, InvalidJob, JobState
from producer.queues import ASSEMBLE, ASSEMBLY_QUEUE, BATCHES_KEY, batch_key
from tests.conftest import eventually
from worker.dispatcher import ABANDONED_S, Dispatcher

pytestmark = pytest.mark.service


@pytest.fixture
def dispatcher(client, farm) -> Dispatcher:
    return dispatcher_of(client, farm, "one")


def test_a_batch_that_its_client_never_completed_is_not_fed_and_goes_in_time(
    client, farm, dispatcher
):
    batch = farm.batch([LINE] * 3)
    client.hdel(batch_key(batch.id), "whole")
    before = client.dbsize()

    dispatcher.round(time.time())
    assert counts(batch) == {"waiting_window": 3}
    dispatcher.round(time.time() + ABANDONED_S + 1)

    assert client.zcard(BATCHES_KEY) == 0
    assert client.keys("voicefarm:job:*") == []
    assert client.dbsize() < before


def test_a_batch_that_has_ended_is_forgotten_as_its_jobs_are(client, farm, dispatcher):
    batch = farm.batch([LINE])
    dispatcher.round(time.time())
    run_one(farm, client, queued_ids(client)[0])

    dispatcher.round(time.time())

    assert client.zcard(BATCHES_KEY) == 0
    assert 0 < client.ttl(batch_key(batch.id)) <= 60
    assert batch.row().has_ended


def test_a_book_waits_for_the_last_item_and_is_queued_once(client, farm, dispatcher):
    batch = farm.batch([LINE], assemble={"format": "mp3"})
    dispatcher.round(time.time())
    assert batch.book.status is JobState.WAITING_WINDOW
    assert batch.row().counts[JobState.WAITING_WINDOW] == 0

    run_one(farm, client, f"{batch.id}{0:08x}")
    dispatcher.round(time.time())
    client.zadd(BATCHES_KEY, {batch.id: time.time()})  # its dispatcher died before it retired it
    farm.ledger.start(batch.book.id, "w@test", time.time(), "token", "tag")
    dispatcher.round(time.time())

    [message] = client.lrange(ASSEMBLY_QUEUE, 0, -1)
    headers = json.loads(message)["headers"]
    assert (headers["id"], headers["task"]) == (batch.book.id, ASSEMBLE)
    assert batch.book.status is JobState.RUNNING


def test_a_book_ends_with_its_batch_if_that_is_cancelled(client, farm, dispatcher):
    batch = farm.batch([LINE], assemble={"format": "m4b"})
    batch.cancel()

    for _ in range(2):
        dispatcher.round(time.time())

    assert batch.book.status is JobState.CANCELLED
    assert client.llen(ASSEMBLY_QUEUE) == 0


def test_a_book_that_cannot_be_made_queues_nothing(client, farm):
    with pytest.raises(InvalidJob):
        farm.batch([LINE], assemble={"format": "aac"})

    assert client.keys("voicefarm:*") == []


def test_a_retried_item_counts_as_queued_again(client, farm, dispatcher):
    batch = farm.batch([LINE])
    dispatcher.round(time.time())
    job_id = queued_ids(client)[0]
    run_one(farm, client, job_id, JobState.FAILED)
    assert counts(batch) == {"failed": 1}

    assert farm.job(job_id).retry()

    assert counts(batch) == {"queued": 1}
    assert not batch.row().has_ended


def test_a_wrong_item_queues_nothing_or_is_answered_as_failed(client, farm):
    items = [LINE, {"text": LINE, "speed": 99}, {"custom_id": "last", "text": LINE}]
    with pytest.raises(InvalidItem, match="item 2: speed"):
        farm.batch(items)
    assert client.keys("voicefarm:*") == []

    batch = farm.batch(items, skip_invalid=True)

    lines = list(batch.results())
    assert [line["custom_id"] for line in lines] == ["item-1", "item-2", "last"]
    assert [line["state"] for line in lines] == ["waiting_window", "failed", "waiting_window"]
    assert lines[1]["detail"].startswith("item 2: speed: ")


def test_workers_speak_a_batch_and_every_item_is_answered_once_in_order(start_worker, farm):
    start_worker("w", slots=4)
    batch = farm.batch([f"Line number {n} of many." for n in range(200)])

    row = batch.wait(timeout_s=120)

    assert row.counts[JobState.DONE] == 200
    lines = list(batch.results())
    assert [line["number"] for line in lines] == list(range(200))
    assert {line["state"] for line in lines} == {"done"}
    assert eventually(lambda: not farm.broker.redis.zcard(BATCHES_KEY))
