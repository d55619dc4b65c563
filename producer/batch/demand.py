"""Demand: the backlog, and what open batches hold back from the queue. Workers are scaled by it.

The dispatcher lets little wait in the queue, and it is a thread of the workers: by the queue
alone a farm would never grow for a book, and one without workers would never wake for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..backlog import Backlog, read_backlog
from ..queues import Priority
from ..state import JobState
from .batch_row import BatchRow
from .ledger import BatchLedger

if TYPE_CHECKING:
    from redis import Redis


class Held(NamedTuple):
    """What waits for the dispatcher, and is its to handle now."""

    jobs: int
    audio_s: float


def held_back(batches: Iterable[BatchRow], now_s: float, *, all_paused: bool) -> Held:
    """Return what batches hold that may run at `now_s`, or that must be ended.

    Ending a batch that was cancelled or is late takes a worker, but no time of it.
    """
    jobs, audio_s = 0, 0.0
    for batch in batches:
        ends = batch.cancelled or now_s >= batch.schedule.deadline_s
        runs = not (all_paused or batch.paused) and batch.schedule.left_s(now_s) > 0
        if batch.is_whole and (ends or runs):
            jobs += batch.counts[JobState.WAITING_WINDOW]
            audio_s += 0.0 if ends else batch.audio_s[JobState.WAITING_WINDOW]
    return Held(jobs, audio_s)


def read_demand(redis: Redis, now_s: float) -> Backlog:
    """Return the backlog with what batches hold back, in a few round trips; text in `redis`."""
    backlog = read_backlog(redis, now_s)
    batches = BatchLedger(redis, keep_s=1)
    live = batches.live()
    if not live:
        return backlog
    held = held_back(live, now_s, all_paused=batches.all_paused)
    jobs, audio_s = dict(backlog.jobs), dict(backlog.audio_s)
    jobs[Priority.BATCH] += held.jobs
    audio_s[Priority.BATCH] += held.audio_s
    return replace(backlog, jobs=jobs, audio_s=audio_s)
