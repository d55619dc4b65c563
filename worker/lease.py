"""Leases: a message stays with the worker that holds it for as long as that worker lives.

Each delivered message is noted in Redis, and delivered again once the note has become too old
(see `deliveries`). A thread of its own renews the notes of all that this process holds, however
long the job, while Celery's loop is busy, reconnects or has ended. Whoever stops renewing
loses what it held within `lease_s`; `release` takes it away at once from a worker that is
known to be dead.

A note belongs to one holder, so that a
worker that was frozen can neither renew nor acknowledge what others have got since.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import redis as redis_py
from celery.utils.log import get_logger

from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY
from producer.scripting import ALSO_WHEN_FULL

from .deliveries import Delivery, restore

if TYPE_CHECKING:
    from redis import Redis

    from .courier import Courier

logger = get_logger(__name__)

#: Renewals in the time of one lease: two may fail before anything is lost.
RENEWALS: Final = 3

#: How long the thread waits before it tries again to reach Redis.
RETRY_S: Final = 0.25

#: How long a close may take while Redis does not answer.
CLOSE_S: Final = 1.0

_KEYS: Final = (DELIVERIES_KEY, DELIVERED_KEY, LEASES_KEY)

#: Redis' own clock: what it noted and what is renewed are told by the same one.
_NOW: Final = ALSO_WHEN_FULL + "local t = redis.call('TIME'); local now = t[1] + t[2] / 1e6\n"

#: Renews deliveries. ARGV holder, tags... Returns the tags that are not the holder's any more.
_RENEW: Final = (
    _NOW
    + """
local lost = {}
for i = 2, #ARGV do
  local mine = redis.call('HGET', KEYS[3], ARGV[i]) == ARGV[1]
  if mine and redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], now, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
"""
)

#: Ends a delivery that is still the holder's. ARGV holder, tag.
_FINISH: Final = (
    ALSO_WHEN_FULL
    + """
if redis.call('HGET', KEYS[3], ARGV[2]) == ARGV[1] then
  redis.call('ZREM', KEYS[1], ARGV[2])
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
end
"""
)


class Leases:
    """What this process holds. Thread-safe.

    All that is to be written is tried until it succeeds, by the thread or by the courier: an
    acknowledgement survives an outage of the broker.
    """

    def __init__(self, redis: Redis, lease_s: float, courier: Courier) -> None:
        self._redis = redis
        self._courier = courier
        self._lease_s = lease_s
        self.holder = ""
        #: How many were lost while they were held.
        self.lost = 0
        self._held: dict[str, Callable[[], None] | None] = {}
        #: Tags of messages that go back.
        self._returns: deque[str] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._renew_script = redis.register_script(_RENEW)

    @property
    def held(self) -> int:
        """How many messages this process holds."""
        return len(self._held)

    def start(self, node: str) -> None:
        """Hold from now on, as one life of `node`."""
        self.holder = f"{node}/{uuid.uuid4().hex[:12]}"
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self._thread.start()

    def hold(self, tags: Sequence[str]) -> None:
        """Look after deliveries that are noted as ours, from now on (see `intake`)."""
        with self._changed:
            stale = [self._held.get(tag) for tag in tags]
            self._held.update(dict.fromkeys(tags))
        for action in filter(None, stale):
            # It ran out here, and has come back to us.
            action()

    def when_lost(self, tag: str, action: Callable[[], None]) -> None:
        """Have `action` called, in another thread, if the lease is lost; at once if it is."""
        with self._changed:
            if held := tag in self._held:
                self._held[tag] = action
        if not held:
            action()

    def finish(self, tag: str) -> None:
        """Acknowledge, behind all that the courier was given before."""
        with self._changed:
            held = self._held.pop(tag, self) is not self
        if held:
            # By its text: nobody would hear that Redis does not know the script.
            self._courier.send("EVAL", _FINISH, len(_KEYS), *_KEYS, self.holder, tag)

    def give_back(self, tag: str) -> None:
        """Put the message back, to be delivered next."""
        with self._changed:
            if self._held.pop(tag, self) is not self:
                self._returns.append(tag)
                self._changed.notify()

    def close(self, limit_s: float = CLOSE_S) -> None:
        """Give back what is held, and stop; what is acknowledged is the courier's."""
        with self._changed:
            self._closing = True
            self._returns.extend(self._held)
            self._held.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(limit_s)

    def _run(self) -> None:
        due_s = time.monotonic()
        while self._wait(due_s):
            try:
                self._restore()
                if time.monotonic() >= due_s:
                    self._renew()
                    due_s = time.monotonic() + self._lease_s / RENEWALS
            except redis_py.RedisError as error:
                logger.warning("leases wait for the broker: %s", error)
                time.sleep(RETRY_S)
            except Exception:
                # A thread that died would lose all that is held.
                logger.exception("a renewal failed")
                time.sleep(RETRY_S)

    def _wait(self, due_s: float) -> bool:
        """Wait for something to do; False once all is done for good."""
        with self._changed:
            left_s = max(0.0, due_s - time.monotonic())
            self._changed.wait_for(lambda: self._returns or self._closing, left_s)
            return bool(self._returns) or not self._closing

    def _restore(self) -> None:
        with self._changed:
            tags = list(self._returns)
        restore(self._redis, [Delivery(tag, self.holder) for tag in tags])
        with self._changed:
            for _ in tags:
                self._returns.popleft()

    def _renew(self) -> None:
        with self._changed:
            tags = list(self._held)
        if tags:
            self._lose(self._renew_script(keys=_KEYS, args=[self.holder, *tags]))

    def _lose(self, tags: Iterable[Any]) -> None:
        with self._changed:
            actions = [self._held.pop(tag, None) for tag in tags]
        self.lost += len(actions)
        for action in filter(None, actions):
            logger.warning("a lease was lost; its job runs elsewhere or will")
            action()


def release(redis: Redis, node: str) -> int:
    """Give back what the dead worker `node` held, to be delivered next; return how many.

    For whoever knows that it is dead and has not started another one under this name.
    """
    holders: dict[Any, Any] = redis.hgetall(LEASES_KEY)
    dead = f"{node}/"
    return restore(
        redis, [Delivery(tag, holder) for tag, holder in holders.items() if holder.startswith(dead)]
    )
