"""Where the takes of a job come from: its own engine alone, or shared with others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from .engine.request import ChunkRequest
from .guard import Guard, Judged


class TakeSource(Protocol):
    """The source of one job's takes. One thread reads, `cancel` may be called by any."""

    #: Takes that were there, or were computed for another job meanwhile.
    found: int

    def look(self, requests: Sequence[ChunkRequest]) -> list[Future[Judged] | None]:
        """Return the take of each chunk that is or will be there; None is yet to be asked for."""

    def submit(self, request: ChunkRequest) -> Future[Judged]:
        """Have a take computed here."""

    def settle(self, request: ChunkRequest) -> None:
        """Wait until a take is there or is in the engine here."""

    def keep(self, request: ChunkRequest, judged: Judged) -> None:
        """Offer a take to others."""

    def cancel(self, request_id: str) -> None:
        """Have it no more, wherever it is."""

    def close(self) -> None:
        """Let go of what others may wait for."""


class OwnTakes:
    """A source that shares nothing: every take is computed here."""

    found = 0

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def look(self, requests: Sequence[ChunkRequest]) -> list[Future[Judged] | None]:
        """See `TakeSource`."""
        return [None] * len(requests)

    def submit(self, request: ChunkRequest) -> Future[Judged]:
        """See `TakeSource`."""
        return self._guard.submit(request)

    def settle(self, request: ChunkRequest) -> None:
        """It always is."""

    def keep(self, request: ChunkRequest, judged: Judged) -> None:
        """Nobody else wants it."""

    def cancel(self, request_id: str) -> None:
        """See `TakeSource`."""
        self._guard.cancel(request_id)

    def close(self) -> None:
        """Nobody waits."""
