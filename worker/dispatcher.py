"""The dispatcher: feeds the items of batches to the queue, and it alone knows windows and pauses.

Every worker runs this thread, one of them at a time does the work. Redis' queues are first in,
first out, so fairness and time are decided before them: little waits in the queue at any time,
and what waits is taken back when its window closes, its batch is paused or its time is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import redis as redis_py
from celery.utils.log import get_logger

from producer.batch.batch_row import BatchRow
from producer.batch.estimate import PLAIN, farm_rate
from producer.batch.ledger import BatchLedger
from producer.errors import BrokerUnavailable
from producer.queues import DISPATCHER_KEY, RATES_KEY
from producer.state import JobState

from .batch_feed import BatchFeed
from .election import Election
from .fair_share import FairShare, Flow
from .lead import Lead, until_close_s
from .rate_report import RateReport

if TYPE_CHECKING:
    from redis import Redis

logger = get_logger(__name__)

#: Between two looks, and between two of a farm that takes all it is given at once: how much it
#: takes may not be known yet, and one item at a time may be more than what is guessed.
ROUND_S: Final = 0.5
HASTE_S: Final = 0.1

#: Draws of a round at most: with 200 items known of each batch, some thousands of items.
DRAWS: Final = 20

#: A batch whose client has written nothing for so long is not going to become whole.
ABANDONED_S: Final = 3600.0

#: Sends messages, `(id, encoded job)` each.
Send = Callable[[Sequence[tuple[str, str]]], None]


class Dispatcher:
    """A thread, which tries again for as long as Redis is away."""

    def __init__(
        self,
        redis: Redis,
        send: Send,
        keep_s: float,
        snapshot: Callable[[], Any] = dict,
        has_filed: Callable[[str], bool] = lambda batch_id: True,
    ) -> None:
        """`snapshot` is the engine's; what has ended is remembered for `keep_s`.

        `has_filed` is asked for a batch that has ended until it is true.
        """
        self._has_filed = has_filed
        self._redis = redis
        self._send = send
        self._keep_s = keep_s
        self._batches = BatchLedger(redis, keep_s=keep_s)
        self._report = RateReport(redis, snapshot)
        self._node = ""
        self._election: Election | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._forget()

    @property
    def pause_s(self) -> float:
        """How long to wait before the next round."""
        return HASTE_S if self._is_hasty else ROUND_S

    def elect(self, holder: str, node: str) -> None:
        """Stand for election, as one life of a worker."""
        self._node = node
        self._election = Election(self._redis, DISPATCHER_KEY, holder)
        self._feed = BatchFeed(self._redis, self._election, self._keep_s)

    def start(self, holder: str, node: str) -> None:
        """Begin."""
        self.elect(holder, node)
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and let another worker go on at once if Redis answers."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(ROUND_S)

    def round(self, now_s: float) -> bool:
        """Do what is to be done at `now_s`; return whether this worker is the one."""
        self._is_hasty = False
        if self._election is None or not self._election.lead():
            self._forget()
            return False
        live = self._batches.live()
        if live:
            all_paused = self._batches.all_paused
            runnable = [batch for batch in live if self._may_run(batch, now_s, all_paused)]
            self._deal(runnable, now_s)
        return True

    def _forget(self) -> None:
        """Begin anew: another has dealt meanwhile."""
        self._is_hasty = False
        self._share = FairShare()
        self._lead = Lead()

    def _may_run(self, batch: BatchRow, now_s: float, all_paused: bool) -> bool:
        """Do what a batch needs before it may be fed; return whether it may."""
        if not batch.is_whole:
            if now_s - batch.written_s > ABANDONED_S:
                logger.warning("batch=%s was never completed by its client; removed", batch.id)
                self._batches.discard(batch.id)
            return False
        if batch.has_ended and not self._has_filed(batch.id):
            return False
        if batch.has_ended:
            if batch.becomes_book:
                self._send(self._feed.begin_book(batch, now_s))
            self._batches.retire(batch.id)
            logger.info("batch=%s has ended, %d of %d failed", batch.id, batch.failed, batch.items)
            return False
        late = now_s >= batch.schedule.deadline_s
        held = all_paused or batch.paused or batch.schedule.left_s(now_s) <= 0
        if (late or held or batch.cancelled) and batch.counts[JobState.QUEUED]:
            self._feed.recall(batch.id, now_s)
        if late or batch.cancelled:
            why = "the batch was cancelled" if batch.cancelled else "its deadline has passed"
            self._feed.end(batch, now_s, why)
            return False
        return not held

    def _deal(self, batches: Sequence[BatchRow], now_s: float) -> None:
        """Feed what there is room for, by fair shares."""
        rate = farm_rate(self._rates(), PLAIN, now_s)
        room_s = self._lead.room_s(rate, sum(batch.audio_s[JobState.QUEUED] for batch in batches))
        queued = had_some = any(batch.counts[JobState.QUEUED] for batch in batches)
        ahead_s = {batch.id: batch.audio_s[JobState.QUEUED] for batch in batches}
        fresh = list(batches)
        for _ in range(DRAWS):
            heads = {batch.id: self._feed.heads(batch) for batch in fresh}
            flows = {
                Flow(batch.client, batch.id): list(heads[batch.id].values()) for batch in fresh
            }
            for batch in fresh:
                fits_s = until_close_s(rate, batch.schedule.left_s(now_s)) - ahead_s[batch.id]
                flow = Flow(batch.client, batch.id)
                flows[flow] = _within(flows[flow], fits_s, at_least_one=not queued)
            # A job that is larger than all the room must run some time too.
            drawn = self._share.draw(flows, room_s)
            if not drawn and not queued and any(flows.values()):
                drawn = self._share.draw({f: costs[:1] for f, costs in flows.items()}, float("inf"))
            if not drawn:
                return
            queued, self._is_hasty = True, not had_some
            for flow in dict.fromkeys(drawn):
                ids = list(heads[flow.batch])[: drawn.count(flow)]
                dealt_s = sum(heads[flow.batch][job_id] for job_id in ids)
                room_s -= dealt_s
                ahead_s[flow.batch] += dealt_s
                self._send(self._feed.feed(flow.batch, ids, now_s))
            fresh = [self._batches.row(batch.id) for batch in fresh]

    def _rates(self) -> dict[str, str]:
        published: dict[Any, Any] = self._redis.hgetall(RATES_KEY)
        return published

    def _run(self) -> None:
        leads = False
        while not self._closing.wait(self.pause_s):
            try:
                now_s = time.time()
                leads = self.round(now_s)
                self._report.look(self._node, now_s)
            except (redis_py.RedisError, BrokerUnavailable) as error:
                logger.warning("the dispatcher waits for the broker: %s", error)
            except Exception:
                logger.exception("a round of the dispatcher failed")
        try:
            self._report.withdraw(self._node)
            if leads and self._election is not None:
                self._election.resign()
        except redis_py.RedisError:
            logger.debug("the lock runs out by itself")


def _within(costs: list[float], room_s: float, *, at_least_one: bool) -> list[float]:
    """Return the first of these that fit in together."""
    fitting: list[float] = []
    for cost_s in costs:
        room_s -= cost_s
        if room_s < 0 and (fitting or not at_least_one):
            break
        fitting.append(cost_s)
    return fitting
