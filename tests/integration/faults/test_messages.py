"""What does not belong on the queues: 300 malformed messages and 300 mutated jobs stop nobody."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from evidence import assert_settled
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from producer import JobState
from producer.job import new_job_id, speech_job
from producer.queues import QUEUE_OF, STRANGERS_KEY, Priority, job_key

pytestmark = [pytest.mark.service, pytest.mark.slow]

QUEUE = QUEUE_OF[Priority.BATCH]
EXAMPLES = 300

#: As many examples as are asked for, one after the other on the same worker.
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def message_of(client, farm) -> dict[str, Any]:
    """A real message, taken off the queue again."""
    farm.submit_many(["a line"])
    return json.loads(client.rpop(QUEUE))


@st.composite
def spoilt(draw, message: dict[str, Any]) -> bytes:
    """A message that is broken in one or two places, or none at all."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()))
    copy = json.loads(json.dumps(message))
    copy["headers"]["id"] = copy["properties"]["delivery_tag"] = new_job_id()
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from([copy, copy["headers"], copy["properties"]]))
        if isinstance(place, dict) and place:
            name = draw(st.sampled_from(sorted(place)))
            if draw(st.booleans()):
                del place[name]
            else:
                place[name] = draw(json_values)
        if not all(isinstance(copy.get(part), dict) for part in ("headers", "properties")):
            break
    body = draw(json_values | st.just([[], {}, {}]) | st.just([[1, 2], {"x": 1}, {}]))
    if isinstance(copy.get("body"), str):
        copy["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(copy).encode()


def test_malformed_messages_are_kept_with_the_reason_and_the_worker_goes_on(
    worker, farm, client, report
):
    message = message_of(client, farm)
    client.flushall()
    process = worker(fake_speed=0)
    began_s = time.monotonic()
    pushed = 0

    @many
    @given(spoilt(message))
    def push(entry: bytes) -> None:
        nonlocal pushed
        client.lpush(QUEUE, entry)
        pushed += 1

    push()
    good = farm.submit_many(f"line number {n}" for n in range(8))

    assert [job.wait(120) for job in good] == [JobState.DONE] * 8
    assert_settled(farm, good)
    assert process.process.poll() is None
    kept = [json.loads(entry) for entry in client.lrange(STRANGERS_KEY, 0, -1)]
    assert all(entry["why"] for entry in kept)
    assert pushed == EXAMPLES
    assert len(kept) == pushed
    report(
        "malformed messages",
        tried=pushed,
        lost=0,
        twice=0,
        rerun=0,
        seconds=time.monotonic() - began_s,
    )


@st.composite
def mutated(draw) -> str:
    """A job as no client of this version writes it."""
    job = json.loads(speech_job("a line", priority="batch").encode())
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["change", "remove", "add", "nest"]))
        name = draw(st.sampled_from(sorted(job) or ["text"]))
        if kind == "change":
            job[name] = draw(json_values)
        elif kind == "remove":
            job.pop(name, None)
        elif kind == "add":
            job[draw(st.text(max_size=10))] = draw(json_values)
        elif isinstance(job.get("output"), dict):
            job["output"][draw(st.sampled_from(["format", "sample_rate_hz", "x"]))] = draw(
                json_values
            )
    encoded = json.dumps(job)
    return (
        encoded[: draw(st.integers(0, len(encoded)))] if draw(st.integers(0, 9)) == 0 else encoded
    )


def test_mutated_jobs_are_refused_with_a_reason_and_the_worker_goes_on(
    worker, farm, client, report
):
    process = worker(fake_speed=0)
    began_s = time.monotonic()
    ids: list[str] = []

    @many
    @given(mutated())
    def submit(encoded: str) -> None:
        job_id, job = new_job_id(), speech_job("a line", priority="batch")
        farm.ledger.create(job_id, job, time.time())
        client.hset(job_key(job_id), "spec", encoded)
        farm.broker.send([(job_id, job)])
        ids.append(job_id)

    submit()
    jobs = [farm.job(job_id) for job_id in ids]
    states = [job.wait(120) for job in jobs]

    assert len(ids) == EXAMPLES
    assert set(states) <= {JobState.DONE, JobState.FAILED}
    reasons = {job.row().reason for job in jobs if job.status is JobState.FAILED}
    assert reasons <= {
        "invalid_job",
        "unsupported_schema",
        "unknown_voice",
        "unsupported_language",
        "unsupported_feature",
    }
    assert states.count(JobState.FAILED) > EXAMPLES / 2
    assert all(job.row().detail for job in jobs if job.status is JobState.FAILED)
    assert process.process.poll() is None
    assert farm.submit("still here").wait(60) is JobState.DONE
    report(
        "mutated jobs", tried=len(ids), lost=0, twice=0, rerun=0, seconds=time.monotonic() - began_s
    )
