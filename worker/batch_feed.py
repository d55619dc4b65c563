"""What the dispatcher does to a batch: looks at its next items, feeds some, takes some back, ends
the rest. Each change is one script, which nobody but the dispatcher in office may run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from producer.batch.account import BATCH_DIGITS, book_id_of, job_id_of
from producer.batch.batch_row import BatchRow
from producer.errors import JobNotFound
from producer.ledger import Ledger
from producer.queues import batch_key, job_key
from producer.scripting import ALSO_WHEN_FULL
from producer.state import JobState
from producer.transitions import ENTER

from .election import FENCE, Election

if TYPE_CHECKING:
    from redis import Redis

#: Items of a batch that are looked at, taken back or ended in one step.
PIECE: Final = 200

#: Puts items into the queue. KEYS lock, batch. ARGV holder, now, ids... Returns the ids that
#: were fed and their specs, in turn; what waits no more is passed over.
_FEED: Final = (
    ENTER
    + FENCE
    + """
local fed, beyond = {}, tonumber(redis.call('HGET', KEYS[2], 'next') or 0)
for i = 3, #ARGV do
  local id, row = ARGV[i], '{JOB}' .. ARGV[i]
  if redis.call('HGET', row, 'state') == 'waiting_window' then
    enter(row, id, 'waiting_window', 'queued', ARGV[2], 0)
    fed[#fed + 1] = id
    fed[#fed + 1] = redis.call('HGET', row, 'spec')
  end
  redis.call('ZREM', KEYS[2] .. ':returned', id)
  beyond = math.max(beyond, tonumber(string.sub(id, {DIGITS} + 1), 16) + 1)
end
redis.call('HSET', KEYS[2], 'next', beyond)
return fed
"""
)

#: Takes queued items back; whoever gets their messages finds that they wait, and drops them.
#: KEYS lock, batch. ARGV holder, now, how many at most. Returns how many were taken back.
_RECALL: Final = (
    ALSO_WHEN_FULL
    + ENTER
    + FENCE
    + """
local queued = redis.call('ZRANGE', KEYS[2] .. ':queued', 0, ARGV[3] - 1)
for _, id in ipairs(queued) do
  local row = '{JOB}' .. id
  if redis.call('HGET', row, 'state') == 'queued' then
    enter(row, id, 'queued', 'waiting_window', ARGV[2], 0)
    redis.call('ZADD', KEYS[2] .. ':returned', tonumber(string.sub(id, {DIGITS} + 1), 16), id)
  else
    redis.call('ZREM', KEYS[2] .. ':queued', id)
  end
end
return #queued
"""
)

#: Cancels items that wait. KEYS lock, batch. ARGV holder, now, keep_s, why, next, ids...
_END: Final = (
    ALSO_WHEN_FULL
    + ENTER
    + FENCE
    + """
for i = 6, #ARGV do
  local id, row = ARGV[i], '{JOB}' .. ARGV[i]
  if redis.call('HGET', row, 'state') == 'waiting_window' then
    redis.call('HSET', row, 'detail', ARGV[4])
    enter(row, id, 'waiting_window', 'cancelled', ARGV[2], tonumber(ARGV[3]))
  end
  redis.call('ZREM', KEYS[2] .. ':returned', id)
end
redis.call('HSET', KEYS[2], 'next', ARGV[5])
"""
)


class BatchFeed:
    """Batches, as the dispatcher handles them."""

    def __init__(self, redis: Redis, election: Election, keep_s: float) -> None:
        self._redis = redis
        self._election = election
        self._keep_s = int(keep_s)
        self._ledger = Ledger(redis, keep_s=keep_s)
        self._feed, self._recall, self._end = (
            redis.register_script(_of_jobs(script)) for script in (_FEED, _RECALL, _END)
        )

    def heads(self, batch: BatchRow) -> dict[str, float]:
        """Return the next items that wait, in order, with the audio that each is expected to be.

        Items that were ended by hand are left out; if all that were looked at are, they are
        passed over, so that the next look goes further.
        """
        ids = self._next(batch)
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(job_key(job_id), "state", "speech_s")
            found = zip(ids, pipe.execute(), strict=True)
        waiting = {
            job_id: float(speech_s or 0)
            for job_id, (state, speech_s) in found
            if state == JobState.WAITING_WINDOW
        }
        if ids and not waiting:
            self.feed(batch.id, ids, 0.0)
        return waiting

    def feed(self, batch_id: str, job_ids: Sequence[str], now_s: float) -> list[tuple[str, str]]:
        """Enter `queued`; return the ids that did, with their encoded jobs: they need messages."""
        fed = self._run(self._feed, batch_id, now_s, *job_ids)
        return list(zip(fed[::2], fed[1::2], strict=True))

    def recall(self, batch_id: str, now_s: float) -> None:
        """Take back what is queued and not begun."""
        while self._run(self._recall, batch_id, now_s, PIECE) == PIECE:
            pass

    def end(self, batch: BatchRow, now_s: float, why: str) -> None:
        """Cancel some of what waits; a long batch takes many calls."""
        ids = self._next(batch)
        beyond = max([batch.next, *(int(job_id[BATCH_DIGITS:], 16) + 1 for job_id in ids)])
        self._run(self._end, batch.id, now_s, self._keep_s, why, beyond, *ids)

    def begin_book(self, batch: BatchRow, now_s: float) -> list[tuple[str, str]]:
        """Queue the book of a batch that has ended, or end it with its batch; see `feed`.

        Nothing if somebody has done so before.
        """
        job_id = book_id_of(batch.id)
        with suppress(JobNotFound):
            if batch.cancelled:
                self._ledger.cancel(job_id, now_s)
            elif self._ledger.release(job_id, now_s):
                return [(job_id, self._ledger.row(job_id).encoded)]
        return []

    def _next(self, batch: BatchRow) -> list[str]:
        """Return the ids of what was taken back, then of what was never fed; some of them."""
        returned: list[Any] = list(
            self._redis.zrange(batch_key(batch.id) + ":returned", 0, PIECE - 1)
        )
        beyond = min(batch.items, batch.next + PIECE - len(returned))
        return returned + [job_id_of(batch.id, n) for n in range(batch.next, beyond)]

    def _run(self, script: Any, batch_id: str, *args: Any) -> Any:
        keys = [self._election.key, batch_key(batch_id)]
        return script(keys=keys, args=[self._election.holder, *args])


def _of_jobs(script: str) -> str:
    return script.replace("{JOB}", job_key("")).replace("{DIGITS}", str(BATCH_DIGITS))
