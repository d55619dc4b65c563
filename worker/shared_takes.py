"""Takes that jobs share: found on the shelf, or computed by whoever asks first.

A take that several jobs ask for is computed once. Whoever gives its chunk to the engine claims it
first; who finds it claimed gives the engine nothing and holds no slot, but looks for it on the
shelf. A claim has a time limit, and goes with its holder's lease: then who waits computes the take
itself. So a claim saves work, and nobody depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import redis as redis_py
from celery.utils.log import get_logger

from .claims import Claimant, Claims
from .engine.errors import TakeCancelled
from .engine.request import ChunkRequest
from .guard import Guard, Judged
from .take_shelf import TakeShelf

logger = get_logger(__name__)

#: How long a take may be in somebody else's engine before it is computed twice: a full batch of
#: the longest chunks, and one that waits before it.
LIMIT_S: Final = 120

#: How often one who waits looks again.
LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the jobs of a farm share takes by."""

    shelf: TakeShelf
    claims: Claims
    limit_s: int = LIMIT_S
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class _Awaited:
    """A take that is on the shelf, or that another job computes."""

    request: ChunkRequest
    verdict: Future[Judged] = field(default_factory=Future)
    #: True once it is in the engine here.
    is_ours: bool = False

    @property
    def is_open(self) -> bool:
        return not self.is_ours and not self.verdict.done()

    def follow(self, source: Future[Judged]) -> None:
        """End as `source` does, unless it was cancelled meanwhile."""
        source.add_done_callback(self._end)

    def _end(self, source: Future[Judged]) -> None:
        with suppress(InvalidStateError):
            if error := source.exception():
                self.verdict.set_exception(error)
            else:
                self.verdict.set_result(source.result())


class SharedTakes:
    """A `TakeSource` of one job, in front of its guard."""

    def __init__(
        self, guard: Guard, sharing: Sharing, claimant: Claimant, keys: Mapping[str, str]
    ) -> None:
        """`keys` are the content keys of shared takes, by the ids of their chunks."""
        self._guard = guard
        self._sharing = sharing
        self._claimant = claimant
        self._keys = keys
        self._awaited: dict[str, _Awaited] = {}
        self._claimed: set[str] = set()
        self.found = 0

    def look(self, requests: Sequence[ChunkRequest]) -> list[Future[Judged] | None]:
        """See `TakeSource`; one round trip for all that are not on the shelf.

        What is there is read when its turn comes: a long text's takes are not held in memory.
        """
        shared = [request for request in requests if request.id in self._keys]
        missing = self._unclaimed(one for one in shared if not self._is_on_shelf(one))
        # Somebody waits for an interactive take: it is not left to whoever has all night.
        here = {
            request.id
            for request, is_ours in self._claim(missing)
            if is_ours or request.interactive
        }
        for request in shared:
            if request.id not in here:
                self._awaited[request.id] = _Awaited(request)
        return [
            self._awaited[request.id].verdict if request.id in self._awaited else None
            for request in requests
        ]

    def submit(self, request: ChunkRequest) -> Future[Judged]:
        """See `TakeSource`."""
        return self._guard.submit(request)

    def settle(self, request: ChunkRequest) -> None:
        """See `TakeSource`; the time limit is the longest that it waits."""
        awaited = self._awaited.get(request.id)
        looks_left = self._sharing.limit_s / LOOK_S
        while awaited is not None and awaited.is_open:
            looks_left -= 1
            if found := self._from_shelf(request):
                awaited.follow(found)
                return
            _, is_ours = self._claim([request])[0]
            if is_ours or request.interactive or looks_left < 0:
                self._compute(awaited)
                # Who held this one is gone, with all that it held.
                self._compute_the_rest()
                return
            self._sharing.sleep(LOOK_S)

    def keep(self, request: ChunkRequest, judged: Judged) -> None:
        """See `TakeSource`; what was found is there already."""
        key, awaited = self._keys.get(request.id), self._awaited.pop(request.id, None)
        computed_here = key in self._claimed if awaited is None else awaited.is_ours
        if key is not None and computed_here:
            self._sharing.shelf.keep(key, judged.take)

    def cancel(self, request_id: str) -> None:
        """See `TakeSource`."""
        self._guard.cancel(request_id)
        if awaited := self._awaited.get(request_id):
            with suppress(InvalidStateError):
                awaited.verdict.set_exception(TakeCancelled("the chunk was cancelled"))

    def close(self) -> None:
        """See `TakeSource`."""
        try:
            self._sharing.claims.release(sorted(self._claimed), self._claimant)
        except redis_py.RedisError as error:
            logger.warning("the claims of takes run out by themselves: %s", error)

    def _is_on_shelf(self, request: ChunkRequest) -> bool:
        return self._sharing.shelf.has(self._keys[request.id])

    def _from_shelf(self, request: ChunkRequest) -> Future[Judged] | None:
        take = self._sharing.shelf.find(self._keys[request.id])
        if take is None:
            return None
        self.found += 1
        verdict: Future[Judged] = Future()
        verdict.set_result(Judged((take,), self._guard.band(request)))
        return verdict

    def _claim(self, requests: Sequence[ChunkRequest]) -> list[tuple[ChunkRequest, bool]]:
        """Claim the takes of these chunks; say of each whether it is ours."""
        if not requests:
            return []
        keys = [self._keys[request.id] for request in requests]
        taken = self._sharing.claims.take_some(keys, self._claimant, self._sharing.limit_s)
        self._claimed.update(key for key, is_ours in zip(keys, taken, strict=True) if is_ours)
        return list(zip(requests, taken, strict=True))

    def _compute(self, awaited: _Awaited) -> None:
        """Compute a take here after all, unless it has just been put on the shelf."""
        found = self._from_shelf(awaited.request)
        awaited.is_ours = found is None
        awaited.follow(found or self._guard.submit(awaited.request))

    def _compute_the_rest(self) -> None:
        open_ones = (one.request for one in self._awaited.values() if one.is_open)
        still = self._unclaimed(one for one in open_ones if not self._is_on_shelf(one))
        for request, is_ours in self._claim(still):
            if is_ours:
                self._compute(self._awaited[request.id])

    def _unclaimed(self, requests: Iterable[ChunkRequest]) -> list[ChunkRequest]:
        """Leave out what this job computes already: a text may say the same thing twice."""
        first: dict[str, ChunkRequest] = {}
        for request in requests:
            key = self._keys[request.id]
            if key not in self._claimed:
                first.setdefault(key, request)
        return list(first.values())
