"""Messages as they stand in a queue, and how a test has a worker's leases hold one."""

from __future__ import annotations

import json

from redis import Redis

from worker.intake import Intake
from worker.lease import Leases

QUEUE = "speech.batch"


def message(tag: str, job_id: str) -> str:
    """Return a message as it stands in its queue, as far as a delivery needs it."""
    return json.dumps({"headers": {"id": job_id}, "properties": {"delivery_tag": tag}})


def take(client: Redis, leases: Leases, tag: str, job_id: str) -> None:
    """Deliver a message to whom the leases are of."""
    entry = message(tag, job_id).encode()
    client.execute_command(*Intake().command(leases.holder, {}, (QUEUE, entry)))
    leases.hold([tag])
