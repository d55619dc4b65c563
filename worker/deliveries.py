"""Deliveries: messages that some worker holds, as Redis knows them, and how they go back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY, QUEUE_OF, QUEUES, Priority
from producer.scripting import ALSO_WHEN_FULL

if TYPE_CHECKING:
    from redis import Redis

#: Puts a message back to the end of the queue from which the next one is taken, if it is still
#: the holder's. ARGV tag, holder, message.
_RESTORE: Final = (
    ALSO_WHEN_FULL
    + """
if (redis.call('HGET', KEYS[3], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('RPUSH', KEYS[4], ARGV[3])
return 1
"""
)


#: Finds what was not renewed for a lease, by the clock that it is renewed by, and clears away
#: what has no message any more. ARGV lease, most. Returns tags and holders, in turn.
_OVERDUE: Final = (
    ALSO_WHEN_FULL
    + """
local t = redis.call('TIME')
local cut = string.format('(%.3f', t[1] + t[2] / 1e6 - ARGV[1])
local found = {}
for _, tag in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', cut, 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
  if redis.call('HEXISTS', KEYS[2], tag) == 1 then
    found[#found + 1] = tag
    found[#found + 1] = redis.call('HGET', KEYS[3], tag) or ''
  else
    redis.call('ZREM', KEYS[1], tag)
    redis.call('HDEL', KEYS[3], tag)
  end
end
return found
"""
)

#: Deliveries that are taken back at once.
_OVERDUE_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that `holder` has."""

    tag: str
    holder: str


def restore(redis: Redis, deliveries: Sequence[Delivery]) -> int:
    """Put messages back on their queues, to be delivered next; return how many did.

    One that its holder has not any more stays as it is.
    """
    if not deliveries:
        return 0
    script = redis.register_script(_RESTORE)
    kept: Any = redis.hmget(DELIVERED_KEY, [delivery.tag for delivery in deliveries])
    with redis.pipeline(transaction=False) as pipe:
        for delivery, note in zip(deliveries, kept, strict=True):
            if note is None:
                continue
            message, queue = _again(note)
            script(
                keys=[DELIVERIES_KEY, DELIVERED_KEY, LEASES_KEY, queue],
                args=[delivery.tag, delivery.holder, message],
                client=pipe,
            )
        return sum(pipe.execute())


def restore_overdue(redis: Redis, lease_s: float) -> int:
    """Put back what no worker has renewed for `lease_s`; return how many messages.

    Anybody may, at any time, beside others, and die over it: each message goes back in one step.
    """
    script = redis.register_script(_OVERDUE)
    keys = [DELIVERIES_KEY, DELIVERED_KEY, LEASES_KEY]
    found: list[Any] = script(keys=keys, args=[lease_s, _OVERDUE_AT_ONCE])
    return restore(redis, [Delivery(*pair) for pair in zip(found[::2], found[1::2], strict=True)])


def _again(note: str) -> tuple[str, str]:
    """Return a kept message, marked as delivered before, and its queue."""
    try:
        message, _, queue = json.loads(note)
    except ValueError:
        # Redis reads a bit more than JSON. Whoever takes it keeps it among the strangers.
        return note, QUEUE_OF[Priority.BATCH]
    headers = message.get("headers")
    if isinstance(headers, dict):
        headers["redelivered"] = True
    known = queue if queue in QUEUES else QUEUE_OF[Priority.BATCH]
    return json.dumps(message), known
