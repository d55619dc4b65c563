"""One worker of all does a thing: whoever holds the lock. What is done is fenced by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from redis import Redis

#: How long the lock of a worker that died holds up the others.
LOCK_S: Final = 5.0

#: Takes the lock or keeps it. KEYS lock. ARGV holder, milliseconds.
_LEAD: Final = """
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

#: Gives the lock up. KEYS lock. ARGV holder.
_RESIGN: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

#: Begins a script that only the holder may run. KEYS lock first. ARGV holder first.
FENCE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED not the leader') end
"""


class Election:
    """One candidate for one lock."""

    def __init__(self, redis: Redis, key: str, holder: str) -> None:
        self.key = key
        self.holder = holder
        self._lead = redis.register_script(_LEAD)
        self._resign = redis.register_script(_RESIGN)

    def lead(self) -> bool:
        """Take the lock, or keep it for `LOCK_S` more; False if another has it."""
        return bool(self._lead(keys=[self.key], args=[self.holder, int(LOCK_S * 1000)]))

    def resign(self) -> None:
        """Let another have the lock at once."""
        self._resign(keys=[self.key], args=[self.holder])
