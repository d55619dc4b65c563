"""A dispatcher whose rounds are called by hand, and what it has fed to the queue."""

from __future__ import annotations

import json
import time

from producer import JobState
from producer.batch.handle import Batch
from producer.queues import QUEUE_OF, Priority
from worker.dispatcher import Dispatcher

QUEUE = QUEUE_OF[Priority.BATCH]

#: Of 15 characters a second: two seconds of speech.
LINE = "thirty characters are two secs"


def dispatcher_of(client, farm, name: str) -> Dispatcher:
    """One whose rounds are called by hand."""
    dispatcher = Dispatcher(client, farm.broker.send_encoded, keep_s=60)
    dispatcher.elect(name, f"{name}@test")
    return dispatcher


def counts(batch: Batch) -> dict[str, int]:
    return {state.value: count for state, count in batch.row().counts.items() if count}


def queued_ids(client) -> list[str]:
    """The jobs of the messages in the queue, oldest first."""
    return [json.loads(m)["headers"]["id"] for m in reversed(client.lrange(QUEUE, 0, -1))]


def run_one(farm, client, job_id: str, end: JobState = JobState.DONE) -> None:
    """What a worker does with the oldest message of the queue."""
    message = client.rpop(QUEUE)
    assert json.loads(message)["headers"]["id"] == job_id
    farm.ledger.start(job_id, "w@test", time.time(), "token", "tag")
    farm.ledger.change(job_id, end, time.time())
