"""What others, or nobody, put on the queues: it is kept or dropped, and our jobs go on."""

from __future__ import annotations

import json

import pytest

from producer import JobFailed, JobState
from producer.queues import STRANGERS_KEY, job_key
from tests.conftest import eventually

pytestmark = pytest.mark.service


def test_a_job_of_an_unknown_schema_version_fails_with_that_reason(start_worker, farm, client):
    job = farm.submit("from the future")
    spec = json.loads(client.hget(job_key(job.id), "spec"))
    client.hset(job_key(job.id), "spec", json.dumps({**spec, "schema_version": 99}))

    start_worker()

    with pytest.raises(JobFailed, match="unsupported_schema"):
        job.result(30)


def test_messages_of_others_are_kept_and_our_jobs_go_on(start_worker, farm, client):
    start_worker()
    farm.broker.celery.send_task(
        "billing.charge", args=["a customer"], queue="speech.interactive", ignore_result=True
    )

    kept = json.loads(eventually(lambda: client.lindex(STRANGERS_KEY, 0)))

    assert "billing.charge" in kept["why"]
    assert "a customer" in kept["message"]["body"]
    assert farm.submit("still here").wait(30) is JobState.DONE


def test_an_entry_that_is_no_message_at_all_is_kept_and_stops_nobody(start_worker, farm, client):
    worker = start_worker()
    entries = [b"garbage", b"\xff\xfe", b"[]", b'{"a": 1}', b"null"]

    for number, entry in enumerate(entries, start=1):
        client.lpush("speech.batch", entry)

        eventually(lambda number=number: client.llen(STRANGERS_KEY) == number)
        kept = json.loads(client.lindex(STRANGERS_KEY, 0))
        assert "no Celery message" in kept["why"]
        assert farm.submit(f"still here after {number}").wait(30) is JobState.DONE
    assert worker.process.poll() is None


def test_a_message_without_a_row_is_dropped_and_said(start_worker, farm):
    worker = start_worker()
    farm.broker.celery.send_task(
        "speech.synthesize", args=["f" * 32], queue="speech.interactive", ignore_result=True
    )

    eventually(lambda: "no row in the ledger" in worker.log)
    assert farm.submit("still here").wait(30) is JobState.DONE
