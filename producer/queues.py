"""Every name that crosses the wire: queues, tasks and Redis keys, in one place."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Priority(StrEnum):
    """The class of a job: who waits for it."""

    #: Somebody is waiting now; a share of the engine's slots is kept for these.
    INTERACTIVE = "interactive"
    #: Overnight work; takes whatever is free.
    BATCH = "batch"


#: Queues are separate lists, not Redis priorities, which Celery only emulates.
QUEUE_OF: Final[dict[Priority, str]] = {
    Priority.INTERACTIVE: "speech.interactive",
    Priority.BATCH: "speech.batch",
}

#: Those of the engines.
SPEECH_QUEUES: Final = tuple(QUEUE_OF.values())

#: Where jobs wait that join chapters: they are no engine's work.
ASSEMBLY_QUEUE: Final = "speech.assemble"

#: All of our queues.
QUEUES: Final[tuple[str, ...]] = (*SPEECH_QUEUES, ASSEMBLY_QUEUE)

#: Task names are strings on purpose: the client never imports `tasks`.
SYNTHESIZE: Final = "speech.synthesize"
ASSEMBLE: Final = "speech.assemble"


#: What every key of ours begins with.
PREFIX: Final = "voicefarm"

#: Pub/sub pattern space: one channel a job, its message is the new state.
_CHANGES: Final = f"{PREFIX}:changes"

#: Hash: one field an engine, its value what that engine can say (JSON).
CATALOGUE_KEY: Final = f"{PREFIX}:catalogue"

#: String: when a client last waited for replicas.
REPLICATION_KEY: Final = f"{PREFIX}:replication"

#: String: the worker that did the housekeeping last, until the next time.
HOUSEKEEPING_KEY: Final = f"{PREFIX}:housekeeping"

#: List of messages on our queues that are not ours, newest first, bounded.
STRANGERS_KEY: Final = f"{PREFIX}:strangers"

#: Hash of kombu: each delivered message that is not acknowledged yet, by its delivery tag.
DELIVERED_KEY: Final = "unacked"

#: Sorted set of kombu: the delivery tags of those messages, by when they were renewed last.
DELIVERIES_KEY: Final = "unacked_index"

#: Hash: which worker holds a message, by its delivery tag.
LEASES_KEY: Final = f"{PREFIX}:leases"

#: String with a time limit: which worker looks for jobs without a message.
RECONCILER_KEY: Final = f"{PREFIX}:reconciler"

#: String with a time limit: which worker feeds the batches' items to the queue.
DISPATCHER_KEY: Final = f"{PREFIX}:dispatcher"

#: Sorted set: ids of the batches that have not ended, by when they were made.
BATCHES_KEY: Final = f"{PREFIX}:batches"

#: String: there while no batch is fed at all.
PAUSED_KEY: Final = f"{PREFIX}:batches:paused"

#: Hash: how fast each worker was, by node name (JSON).
RATES_KEY: Final = f"{PREFIX}:rates"

#: List of what every `up` has decided about its workers, and why (JSON), newest first, bounded.
DECISIONS_KEY: Final = f"{PREFIX}:decisions"


class Beating(StrEnum):
    """Who tells the farm every few seconds that it is there."""

    WORKER = "worker"
    #: One `voicefarm up`, for all the workers that it keeps.
    HOST = "host"


def beat_key(kind: Beating, name: str) -> str:
    """Redis string with a time limit: the last heartbeat of a worker or a host (JSON)."""
    return f"{PREFIX}:{kind}:{name}"


def beats_key(kind: Beating) -> str:
    """Redis sorted set: the names of a kind, by when they beat last."""
    return f"{PREFIX}:{kind}s"


def batch_key(batch_id: str) -> str:
    """Redis hash: what is known of a batch. With `:states`, `:queued` and `:returned` behind it:
    counts and audio by state; its items in the queue; those that were taken out of it again.
    """
    return f"{PREFIX}:batch:{batch_id}"


def job_key(job_id: str) -> str:
    """Redis hash: the ledger row of one job."""
    return f"{PREFIX}:job:{job_id}"


def state_key(state: str) -> str:
    """Redis sorted set: ids of the jobs in `state`, scored by the time they entered it."""
    return f"{PREFIX}:state:{state}"


def idempotency_key(key: str) -> str:
    """Redis string: the id of the job that was submitted under this idempotency key."""
    return f"{PREFIX}:idempotency:{key}"


def take_claim_key(content_key: str) -> str:
    """Redis string with a time limit: who is computing this content now."""
    return f"{PREFIX}:claim:{content_key}"


def changes_channel(job_id: str) -> str:
    """Pub/sub channel: each state change of one job."""
    return f"{_CHANGES}:{job_id}"


def task_of(queue: str) -> str:
    """Return the name of the task that runs the jobs of a queue."""
    return ASSEMBLE if queue == ASSEMBLY_QUEUE else SYNTHESIZE
