"""The reconciler: a job of the ledger that has no message gets another one.

A client may die between a row and its message, and a worker at the moment when it takes one.
Every worker runs this thread, one of them at a time does the work, whoever has the lock. It
sweeps (`sweep.py`) a little every second, however long the queues are.

A message too many does no harm: an attempt that comes with it finds that the job runs, or
has ended, and drops it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import redis as redis_py
from celery.utils.log import get_logger

from producer.errors import BrokerUnavailable
from producer.queues import (
    DELIVERED_KEY,
    DELIVERIES_KEY,
    LEASES_KEY,
    QUEUE_OF,
    QUEUES,
    RECONCILER_KEY,
    Priority,
    job_key,
    state_key,
)
from producer.state import JobState

from .election import LOCK_S, Election
from .sweep import Sweep

if TYPE_CHECKING:
    from redis import Redis

logger = get_logger(__name__)

#: Between two rounds of the one that has the lock.
ROUND_S: Final = 1.0

#: Entries of a queue, of the deliveries or of an index that are looked at in one command, and
#: how many commands there are in a round. 100,000 jobs are swept in a minute or two.
PIECE: Final = 500
PIECES_A_ROUND: Final = 4

#: The states in which a job must have a message.
_WITH_MESSAGE: Final = (JobState.QUEUED, JobState.RUNNING, JobState.ASSEMBLING)

#: Whose message it is. A quote inside a text is escaped, so this is no part of one.
_JOB_ID: Final = re.compile(r'"id": ?"([0-9a-f]{32})"')

#: Whose messages stand in a piece of a queue; Redis reads them, as they are long.
#: KEYS queue. ARGV first, last. Returns how many entries there were, and the ids.
_IDS: Final = """
local entries = redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])
local found = {#entries}
for _, entry in ipairs(entries) do
  found[#found + 1] = string.match(entry, '"id": ?"(%x+)"')
end
return found
"""

#: Says whether a row is to get a message, and remembers it, so that nobody else sends one.
#: KEYS row, deliveries. ARGV state, cut, now. Returns the job's class and its queue, if that does
#: not follow from the class; nothing if not.
_RESENT: Final = """
local row = redis.call('HMGET', KEYS[1], 'state', 'at:' .. ARGV[1], 'resent', 'tag', 'class',
  'queue')
if row[1] ~= ARGV[1] then return false end
for i = 2, 3 do
  if row[i] and tonumber(row[i]) >= tonumber(ARGV[2]) then return false end
end
if row[4] and redis.call('ZSCORE', KEYS[2], row[4]) then return false end
redis.call('HSET', KEYS[1], 'resent', ARGV[3])
return {row[5] or 'batch', row[6] or ''}
"""

#: Forgets who held messages that are held no more, as an older worker leaves it, whose kombu
#: takes back what was not renewed. KEYS leases, deliveries. ARGV tags...
_FORGET: Final = """
for _, tag in ipairs(ARGV) do
  if not redis.call('ZSCORE', KEYS[2], tag) then redis.call('HDEL', KEYS[1], tag) end
end
"""

#: Sends a message a job, `(id, queue)` each.
Resend = Callable[[Sequence[tuple[str, str]]], None]


class Reconciler:
    """A thread, which tries again for as long as Redis is away."""

    def __init__(self, redis: Redis, resend: Resend, grace_s: float) -> None:
        """A job is given another message once it has had none for `grace_s`."""
        self._redis = redis
        self._resend = resend
        self._grace_s = grace_s
        #: How many jobs were given a message.
        self.resent = 0
        self._election = Election(redis, RECONCILER_KEY, holder="")
        self._closing = threading.Event()
        self._sweep: Iterator[None] = iter(())
        self._swept_s = float("-inf")
        self._thread: threading.Thread | None = None
        self._ids = redis.register_script(_IDS)
        self._resent = redis.register_script(_RESENT)
        self._forget = redis.register_script(_FORGET)

    def start(self, holder: str) -> None:
        """Begin, as one life of a worker."""
        self._election.holder = holder
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and let another worker have the lock at once if Redis answers."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(ROUND_S)

    def round(self) -> bool:
        """Do a bounded piece of work; return whether this worker has the lock."""
        if not self._election.lead():
            self._sweep = iter(())
            return False
        for _ in range(PIECES_A_ROUND):
            if next(self._sweep, self) is self:
                if time.monotonic() - self._swept_s < self._grace_s / 3:
                    break
                self._sweep = self._pieces()
                self._swept_s = time.monotonic()
        return True

    def _run(self) -> None:
        leads = False
        while not self._closing.wait(ROUND_S if leads else LOCK_S / 2):
            try:
                leads = self.round()
            except (redis_py.RedisError, BrokerUnavailable) as error:
                logger.warning("the reconciler waits for the broker: %s", error)
            except Exception:
                # A sweep that is broken off begins anew.
                logger.exception("a sweep failed")
                self._sweep = iter(())
        if leads:
            try:
                self._election.resign()
            except redis_py.RedisError:
                logger.debug("the lock runs out by itself")

    def _pieces(self) -> Iterator[None]:
        """Sweep once; each step is one command on a bounded piece."""
        sweep = Sweep(time.time(), self._grace_s)
        yield from self._see_deliveries(sweep)
        for queue in QUEUES:
            first, entries = 0, PIECE
            while entries == PIECE:
                entries, *job_ids = self._ids(keys=[queue], args=[first, first + PIECE - 1])
                sweep.see(job_ids)
                first += PIECE
                yield
        yield from self._see_deliveries(sweep)
        for state in _WITH_MESSAGE:
            for rows in self._scan(self._redis.zscan, state_key(state)):
                self._give_messages(sweep.missing(rows), state, sweep.cut_s)
                yield

        for leases in self._scan(self._redis.hscan, LEASES_KEY):
            self._forget(keys=[LEASES_KEY, DELIVERIES_KEY], args=list(leases))
            yield

    def _see_deliveries(self, sweep: Sweep) -> Iterator[None]:
        for found in self._scan(self._redis.hscan, DELIVERED_KEY):
            sweep.see(match[1] for note in found.values() if (match := _JOB_ID.search(note)))
            yield

    @staticmethod
    def _scan(scan: Callable[..., Any], key: str) -> Iterator[Any]:
        cursor = None
        while cursor != 0:
            cursor, found = scan(key, cursor or 0, count=PIECE)
            yield found

    def _give_messages(self, job_ids: Sequence[str], state: JobState, cut_s: float) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                keys = [job_key(job_id), DELIVERIES_KEY]
                self._resent(keys=keys, args=[state.value, cut_s, time.time()], client=pipe)
            found = zip(job_ids, pipe.execute(), strict=True)
        lost = [(job_id, told[1] or QUEUE_OF[Priority(told[0])]) for job_id, told in found if told]
        if lost:
            logger.warning("%d jobs had no message and get another: %s", len(lost), lost[0][0])
            self._resend(lost)
            self.resent += len(lost)
