"""Claims: equal content is computed once in the whole farm.

Who computes a key holds its claim in Redis, with a time limit that is renewed as the work
goes on. Who wants the same key waits without a slot, and computes it itself if the claim
runs out: a claim saves work, it never decides whether a job is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from producer.queues import take_claim_key

if TYPE_CHECKING:
    from redis import Redis

#: How long a claim holds without being renewed; longer than any one chunk takes.
CLAIM_S: Final = 60

#: How often one who waits looks again.
LOOK_S: Final = 0.05

#: Deletes the claim only if it is still ours.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Claims:
    """The claims of one worker process. Thread-safe."""

    def __init__(self, redis: Redis, sleep: Callable[[float], None] = time.sleep) -> None:
        self._redis = redis
        self._sleep = sleep
        self._release = redis.register_script(_RELEASE)

    def take(self, key: str, owner: str) -> bool:
        """Claim `key` for `owner`; False while somebody else holds it."""
        return bool(self._redis.set(take_claim_key(key), owner, nx=True, ex=CLAIM_S))

    def renew(self, key: str) -> None:
        """Hold the claim for its full time again."""
        self._redis.expire(take_claim_key(key), CLAIM_S)

    @contextmanager
    def held(
        self, key: str, owner: str, *, on_wait: Callable[[], None], until: Callable[[], bool]
    ) -> Iterator[None]:
        """Hold the claim, waited for if it must be, and release it.

        `on_wait` is called if somebody else holds it. `until` is asked at each look: true
        once waiting has no sense any more, and then the claim is not held.
        """
        mine = self.take(key, owner)
        if not mine:
            on_wait()
        while not mine and not until():
            self._sleep(LOOK_S)
            mine = self.take(key, owner)
        try:
            yield
        finally:
            if mine:
                self._release(keys=[take_claim_key(key)], args=[owner])


class NoClaims:
    """Stands where `Claims` does where nothing is kept that could be shared."""

    def renew(self, key: str) -> None:
        """Nothing is held."""

    @contextmanager
    def held(
        self, key: str, owner: str, *, on_wait: Callable[[], None], until: Callable[[], bool]
    ) -> Iterator[None]:
        """Never wait."""
        yield
