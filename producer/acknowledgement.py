"""When does a submitted job count? Where a master may be replaced: once a replica has it too.

Replication runs behind the answers of the master, so a job that was only answered may be gone
with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .errors import Unacknowledged
from .queues import REPLICATION_KEY, job_key

if TYPE_CHECKING:
    from redis import Redis

#: How long replicas may take. Less than redis waits for any answer, which is 5 s.
REPLICATION_LIMIT_S: Final = 3.0


def confirm(redis: Redis, job_ids: Sequence[str], min_replicas: int, masked_url: str) -> None:
    """Return once `min_replicas` have the rows, else raise `Unacknowledged`."""
    with redis.pipeline(transaction=False) as pipe:
        # WAIT counts what was written by its own connection: this, after all that was before.
        pipe.set(REPLICATION_KEY, time.time())
        # The connection may have found a new master that has never heard of the jobs.
        pipe.exists(*map(job_key, job_ids))
        pipe.execute_command("WAIT", min_replicas, int(REPLICATION_LIMIT_S * 1000))
        _, there, reached = pipe.execute()
    if reached < min_replicas:
        cause = f"{reached} of {min_replicas} replicas have it"
    elif there < len(set(job_ids)):
        cause = "another server became the master meanwhile"
    else:
        return
    raise Unacknowledged(masked_url, cause, tuple(job_ids))
