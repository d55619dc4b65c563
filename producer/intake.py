"""How jobs get in: first their rows, then their messages; whole, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import BrokerFull
from .job import AnyJob

if TYPE_CHECKING:
    from .broker import Broker
    from .ledger import Ledger


def take_in(
    broker: Broker, ledger: Ledger, job_id: str, job: AnyJob, idempotency_key: str = ""
) -> str:
    """Queue a job; return its id, or that of the job that had the idempotency key before.

    Raises `BrokerUnavailable` and its kinds.
    """
    with broker.reachable():
        known = ledger.create(job_id, job, time.time(), idempotency_key)
    if known == job_id:
        with _withdrawn_if_full(broker, ledger, [job_id], idempotency_key):
            broker.send([(job_id, job)])
    broker.confirm([known])
    return known


def take_in_many(broker: Broker, ledger: Ledger, jobs: Sequence[tuple[str, AnyJob]]) -> None:
    """Queue jobs, `(id, job)` each. Raises `BrokerUnavailable` and its kinds."""
    job_ids = [job_id for job_id, _ in jobs]
    with _withdrawn_if_full(broker, ledger, job_ids):
        with broker.reachable():
            ledger.create_many(jobs, time.time())
        broker.send(jobs)
    broker.confirm(job_ids)


@contextmanager
def _withdrawn_if_full(
    broker: Broker, ledger: Ledger, job_ids: Sequence[str], idempotency_key: str = ""
) -> Iterator[None]:
    """Take the rows back if the broker had no room for all, so that none runs unannounced."""
    try:
        yield
    except BrokerFull:
        with broker.reachable():
            ledger.withdraw(job_ids, idempotency_key)
        raise
