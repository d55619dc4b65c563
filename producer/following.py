"""Following jobs to their ends: told by pub/sub, and asked again in case a word was lost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from .errors import JobNotFound
from .queues import changes_channel
from .state import JobState

if TYPE_CHECKING:
    from redis import Redis

    from .ledger import Ledger

#: How often the ledger is asked, in case a change was published while nobody listened.
RECHECK_S: Final = 2.0

#: Channels named in one SUBSCRIBE.
SUBSCRIBE_BATCH: Final = 1000


class Pending:
    """The jobs that have not ended yet, fed with what is heard and what is asked."""

    def __init__(self, job_ids: Iterable[str]) -> None:
        self.ids = dict.fromkeys(job_ids)

    def batches(self) -> Iterator[list[str]]:
        """Yield the channels of all pending jobs, some at a time."""
        channels = [changes_channel(job_id) for job_id in self.ids]
        for start in range(0, len(channels), SUBSCRIBE_BATCH):
            yield channels[start : start + SUBSCRIBE_BATCH]

    def heard(self, message: dict[str, Any]) -> Iterator[tuple[str, JobState]]:
        """Take one pub/sub message; yield its job if it has ended."""
        job_id = str(message["channel"]).rpartition(":")[2]
        state = JobState(message["data"])
        if state.is_final and job_id in self.ids:
            del self.ids[job_id]
            yield job_id, state

    def asked(
        self, job_ids: Iterable[str], states: Iterable[JobState | None]
    ) -> Iterator[tuple[str, JobState]]:
        """Take the ledger's answer; yield the jobs that have ended."""
        for job_id, state in zip(job_ids, states, strict=True):
            if state is None:
                raise JobNotFound(job_id)
            if state.is_final and job_id in self.ids:
                del self.ids[job_id]
                yield job_id, state


def follow(
    redis: Redis, ledger: Ledger, job_ids: Iterable[str], timeout_s: float | None
) -> Iterator[tuple[str, JobState]]:
    """Yield each job with its last state as it ends; stop quietly when the time is over."""
    pending = Pending(job_ids)
    deadline_s = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
    with redis.pubsub(ignore_subscribe_messages=True) as channel:
        for channels in pending.batches():
            channel.subscribe(*channels)
        # Subscribed first, asked second: no change can fall in between.
        while pending.ids:
            asked = list(pending.ids)
            yield from pending.asked(asked, ledger.states(asked))
            recheck_s = time.monotonic() + RECHECK_S
            while pending.ids and (now_s := time.monotonic()) < min(recheck_s, deadline_s):
                message = channel.get_message(timeout=min(recheck_s, deadline_s) - now_s)
                if message is not None:
                    yield from pending.heard(message)
            if time.monotonic() >= deadline_s:
                return
