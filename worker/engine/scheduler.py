"""Who gets a slot, and when. Pure: no clock, no thread, no model, so that it can be proven.

Two lines wait: interactive chunks and batch chunks, each first come, first served.
Interactive chunks go first, and batch work leaves the last few free slots to them. A step takes the
longer the more rows it has, so while somebody waits for speech batch work keeps to a few rows: as
its rows end, others do not follow.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from heapq import heappop, heappush

from .request import ChunkRequest


def reserve_of(slots: int, share: float) -> int:
    """Return how many of `slots` a share of them (0 .. 1) keeps for interactive work."""
    return max(1, round(slots * share)) if share > 0 else 0


def awaited_rows_of(slots: int, share: float) -> int:
    """Return how many of `slots` a share of them (0 .. 1) leaves batch work while it must wait."""
    return max(1, round(slots * share))


class Scheduler:
    """Assigns slots `0 .. slots-1` to requests; a request is here once, waiting or in a slot."""

    def __init__(
        self, slots: int, interactive_reserve: int, awaited_rows: int | None = None
    ) -> None:
        """Keep `interactive_reserve` slots free of batch work, but never all of them.

        While interactive speech is here, batch work gets a slot only if it has fewer than
        `awaited_rows`, one at least; None is no limit.
        """
        if slots < 1:
            raise ValueError(f"an engine needs at least one slot, not {slots}")
        self.slots = slots
        self.reserve = max(0, min(interactive_reserve, slots - 1))
        # A heap: the lowest slots are used first, so that the live rows lie together.
        self._free = list(range(slots))
        self._rows: dict[int, ChunkRequest] = {}
        self._slot_of: dict[str, int] = {}
        self._lines: dict[bool, OrderedDict[str, ChunkRequest]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._tight = False
        self._awaited_rows = slots if awaited_rows is None else max(1, awaited_rows)
        #: Interactive requests that are spoken, waiting or in a slot; and the slots of batch work.
        self._awaited: set[str] = set()
        self._batch_rows = 0

    @property
    def active(self) -> int:
        """How many requests hold a slot."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """How many requests wait for one."""
        return sum(map(len, self._lines.values()))

    @property
    def rows(self) -> tuple[int, ...]:
        """The slots that are taken."""
        return tuple(self._rows)

    def slot_of(self, request_id: str) -> int | None:
        """Return the slot of a request, None while it waits or if it is not here."""
        return self._slot_of.get(request_id)

    def add(self, request: ChunkRequest) -> None:
        """Put `request` at the end of its line. Raises `ValueError` if its id is here already."""
        if request.id in self._slot_of or any(request.id in line for line in self._lines.values()):
            raise ValueError(f"{request.id!r} is already in the engine")
        self._lines[request.interactive][request.id] = request
        # A recording may take minutes, and its conversion has no part in the steps.
        if request.interactive and request.recording is None:
            self._awaited.add(request.id)

    def admit(self) -> list[tuple[int, ChunkRequest]]:
        """Give out the free slots: interactive first, batch while more than the reserve is free."""
        if self._is_blocked():
            return []
        self._tight = False
        admitted = []
        for interactive, line in self._lines.items():
            while line and self._open_to(interactive) > 0:
                _, request = line.popitem(last=False)
                admitted.append((self._seat(request), request))
        return admitted

    def finish(self, slot: int) -> ChunkRequest:
        """Free a slot and return the request that had it."""
        request = self._vacate(slot)
        self._awaited.discard(request.id)
        self._tight = False
        return request

    def put_back(self, slots: Sequence[int]) -> None:
        """Return just admitted requests to the front of their lines, in the order given.

        The device had no memory for them: until another row has left, nobody is admitted.
        """
        for slot in reversed(slots):
            request = self._vacate(slot)
            line = self._lines[request.interactive]
            line[request.id] = request
            line.move_to_end(request.id, last=False)
        self._tight = True

    def cancel(self, request_id: str) -> int | None:
        """Drop one request wherever it is; return the slot that this has freed, if any."""
        for line in self._lines.values():
            line.pop(request_id, None)
        self._awaited.discard(request_id)
        slot = self._slot_of.get(request_id)
        if slot is not None:
            self.finish(slot)
        return slot

    def room(self, interactive: bool) -> int:
        """Return how many more requests of this class would get a slot at once."""
        if self._is_blocked():
            return 0
        if interactive:
            return max(0, len(self._free) - len(self._lines[True]))
        # Interactive work that waits goes first.
        left = len(self._free) - self.reserve - len(self._lines[True])
        return max(0, min(left, self._open_to(interactive=False)) - len(self._lines[False]))

    def _open_to(self, interactive: bool) -> int:
        """Return how many slots this class may have now."""
        if interactive:
            return len(self._free)
        left = len(self._free) - self.reserve
        return min(left, self._awaited_rows - self._batch_rows) if self._awaited else left

    def _is_blocked(self) -> bool:
        # With no row left there is nothing to wait for: the next one must be tried alone.
        return self._tight and bool(self._rows)

    def _seat(self, request: ChunkRequest) -> int:
        slot = heappop(self._free)
        self._rows[slot] = request
        self._slot_of[request.id] = slot
        self._batch_rows += not request.interactive
        return slot

    def _vacate(self, slot: int) -> ChunkRequest:
        request = self._rows.pop(slot)
        self._batch_rows -= not request.interactive
        del self._slot_of[request.id]
        heappush(self._free, slot)
        return request
