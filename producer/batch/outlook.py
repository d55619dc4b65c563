"""The outlook: all that batches and others ask for, and how fast the farm is at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..backlog import read_backlog
from ..queues import RATES_KEY
from ..state import JobState
from .batch_row import BatchRow
from .estimate import PLAIN, Estimate, estimate, farm_rate
from .ledger import BatchLedger
from .schedule import Schedule

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True)
class Outlook:
    """One look at the work that there is. Pure."""

    now_s: float
    #: Those that have not ended.
    batches: Sequence[BatchRow] = ()
    #: Audio that waits in the queue and is no batch's. [s]
    others_s: float = 0.0
    #: What the workers have measured, by node.
    rates: Mapping[str, str] = field(default_factory=dict)

    def of_work(self, schedule: Schedule, work_s: float, path: str = PLAIN) -> Estimate:
        """Return when `work_s` of audio are done if all that is asked for already is done too."""
        # Work of another kind before it goes at another speed.
        alone = all(batch.path == path for batch in self.batches if batch.left_s)
        rate = farm_rate(self.rates, path, self.now_s) if alone else None
        asked_s = sum(batch.left_s for batch in self.batches) + self.others_s
        return estimate(schedule, self.now_s, work_s + asked_s, rate)

    def of_batch(self, batch: BatchRow) -> Estimate:
        """Return when one of the batches is done, if all that the others ask for is done too."""
        return self.of_work(batch.schedule, 0.0, batch.path)


def read_outlook(redis: Redis, now_s: float) -> Outlook:
    """Look at the farm, in a few round trips; `redis` returns text."""
    live = BatchLedger(redis, keep_s=1).live()
    others_s = read_backlog(redis, now_s).waiting_s
    others_s -= sum(batch.audio_s[JobState.QUEUED] for batch in live)
    rates: dict[Any, Any] = redis.hgetall(RATES_KEY)
    return Outlook(now_s, live, max(0.0, others_s), rates)
