"""Claims: equal content is computed once in the whole farm.

Who computes a key holds its claim in Redis, and who wants the same key waits without a slot.
A claim names the message that its holder came with, and counts for as long as that message
is its holder's: the lease thread renews both at once, however long one chunk takes, and who
is known to be dead, or was silent for too long, loses both at once.

A claim saves work, and it is a fence: who has lost it, or the message, publishes nothing.

The takes of long jobs are claimed in the same way (`take_source.py`), many at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from producer.queues import DELIVERIES_KEY, LEASES_KEY, take_claim_key
from producer.scripting import ALSO_WHEN_FULL

from .errors import ClaimLost

if TYPE_CHECKING:
    from redis import Redis

#: When Redis forgets a claim that nobody wants any more: its worker died, its job never
#: came again. A live one that is forgotten is taken again before its file is published.
FORGET_S: Final = 86400

#: How long one who waits does so before the first look and, as hundreds may wait for one take,
#: before a late one; the time doubles from look to look.
LOOK_S: Final = 0.05
LATE_LOOK_S: Final = 0.4

#: Takes claims, or confirms them. One is refused to who has lost its own message, and while it
#: is somebody's who has not. KEYS leases, deliveries, claims... ARGV claimant, tag, holder,
#: seconds. Returns 1 for each claim that is the claimant's now, else 0.
_TAKE: Final = (
    ALSO_WHEN_FULL
    + """
local function holds(tag, holder)
  return redis.call('HGET', KEYS[1], tag) == holder and redis.call('ZSCORE', KEYS[2], tag)
end
local function is_free(claim)
  local claimant = redis.call('GET', claim)
  if not claimant or claimant == ARGV[1] then return true end
  local tag, holder = string.match(claimant, '^(%S+) (%S+) ')
  -- An earlier attempt with our own message is over.
  return not tag or tag == ARGV[2] or not holds(tag, holder)
end
local mine, taken = holds(ARGV[2], ARGV[3]), {}
for i = 3, #KEYS do
  taken[i - 2] = 0
  if mine and is_free(KEYS[i]) then
    redis.call('SET', KEYS[i], ARGV[1], 'EX', ARGV[4])
    taken[i - 2] = 1
  end
end
return taken
"""
)

#: Deletes the claims that are still ours.
_RELEASE: Final = """
for _, claim in ipairs(KEYS) do
  if redis.call('GET', claim) == ARGV[1] then redis.call('DEL', claim) end
end
"""


@dataclass(frozen=True, slots=True)
class Claimant:
    """One attempt, and the lease that it lives by."""

    #: The delivery tag of its message, and who holds that.
    tag: str
    holder: str
    attempt: str

    def __str__(self) -> str:
        return f"{self.tag} {self.holder} {self.attempt}"


class Claims:
    """The claims of one worker process. Thread-safe."""

    def __init__(
        self,
        redis: Redis,
        sleep: Callable[[float], None] = time.sleep,
        *,
        send: Callable[..., None] | None = None,
    ) -> None:
        """`send` has a command carried that nobody waits for, as a `Courier` does."""
        self._sleep = sleep
        self._send = send
        self._take = redis.register_script(_TAKE)
        self._release = redis.register_script(_RELEASE)

    def take(self, key: str, claimant: Claimant) -> bool:
        """Claim `key`; False while somebody else holds it, or if the lease is lost."""
        return self.take_some([key], claimant, FORGET_S)[0]

    def take_some(self, keys: Sequence[str], claimant: Claimant, limit_s: int) -> list[bool]:
        """Claim each of `keys` for `limit_s` at most, in one round trip; see `take`."""
        claims = [LEASES_KEY, DELIVERIES_KEY, *map(take_claim_key, keys)]
        args: list[str | int] = [str(claimant), claimant.tag, claimant.holder, limit_s]
        return [bool(taken) for taken in self._take(keys=claims, args=args)]

    def release(self, keys: Sequence[str], claimant: Claimant) -> None:
        """Let go of those of `keys` that are the claimant's."""
        if keys:
            self._release(keys=list(map(take_claim_key, keys)), args=[str(claimant)])

    def confirm(self, key: str, claimant: Claimant) -> None:
        """Go on only if what is to be published is still this attempt's; else `ClaimLost`."""
        if not self.take(key, claimant):
            raise ClaimLost(f"{key[:12]} is computed by another worker now, or will be")

    @contextmanager
    def held(
        self,
        key: str,
        claimant: Claimant,
        *,
        on_wait: Callable[[], None],
        until: Callable[[], bool],
    ) -> Iterator[None]:
        """Hold the claim, waited for if it must be, and release it.

        `on_wait` is called if somebody else holds it. `until` is asked at each look: true
        once waiting has no sense any more, and then the claim is not held.
        """
        mine = self.take(key, claimant)
        if not mine:
            on_wait()
        pause_s = LOOK_S
        while not mine and not until():
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, LATE_LOOK_S)
            mine = self.take(key, claimant)
        try:
            yield
        finally:
            if mine and self._send is not None:
                # Who wants the key looks for the file too. By its text: nobody would hear that
                # Redis does not know the script.
                self._send("EVAL", _RELEASE, 1, take_claim_key(key), str(claimant))
            elif mine:
                self.release([key], claimant)


class NoClaims:
    """Stands where `Claims` does where nothing is kept that could be shared."""

    def confirm(self, key: str, claimant: Claimant) -> None:
        """Nothing is published."""

    @contextmanager
    def held(
        self,
        key: str,
        claimant: Claimant,
        *,
        on_wait: Callable[[], None],
        until: Callable[[], bool],
    ) -> Iterator[None]:
        """Never wait."""
        yield
