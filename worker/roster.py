"""Where each chunk of an engine process is: still here, or in the process."""

from __future__ import annotations

import threading
from typing import Final

from .engine.request import ChunkRequest
from .engine.scheduler import Scheduler
from .inquest import Inquest

#: Engines with so many slots have some chunks wait in line, a share of the slots. Here a chunk is
#: known to have left when its audio has come, and there its slot was free since it was decoded;
#: and the next message takes its time. It is less than half a second of such an engine's work. Of
#: fewer slots one is long busy, and what waited in line could be begun by another worker.
MANY_SLOTS: Final = 32
LEAD_SHARE: Final = 0.25


def lead_of(slots: int) -> int:
    """Return how many chunks may wait in line in an engine with so many slots."""
    return int(slots * LEAD_SHARE) if slots >= MANY_SLOTS else 0


class Roster:
    """Counts slots like the engine in the process does, so that nobody has to ask it.

    Thread-safe: chunks come and are cancelled on any thread, the watcher does the rest.
    """

    def __init__(
        self,
        slots: int,
        interactive_reserve: int,
        max_deaths: int,
        lead: int = 0,
        awaited_rows: int | None = None,
    ) -> None:
        """`lead` is how many chunks more than slots are let in, to wait there.

        See `Scheduler` for `awaited_rows`.
        """
        self._slots = slots
        self._lock = threading.Lock()
        self._requests: dict[str, ChunkRequest] = {}
        #: Those of them that the present process does not have, in order.
        self._here: dict[str, None] = {}
        self._cancelled: set[str] = set()
        self._told: set[str] = set()
        awaited_rows = slots if awaited_rows is None else awaited_rows
        self._mirror = Scheduler(slots + lead, interactive_reserve, awaited_rows + lead)
        self._inquest = Inquest(max_deaths)

    @property
    def active(self) -> int:
        """How many chunks have a slot."""
        return min(self._mirror.active, self._slots)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._mirror.waiting + self._mirror.active - self.active

    @property
    def is_inside(self) -> bool:
        """True if any chunk is in the process."""
        return len(self._requests) > len(self._here)

    def room(self, interactive: bool) -> int:
        """Return how many more of this class would get a slot; none while there are suspects."""
        with self._lock:
            return 0 if self._inquest else self._mirror.room(interactive)

    def add(self, request: ChunkRequest) -> None:
        """Take a request in."""
        with self._lock:
            self._mirror.add(request)
            self._mirror.admit()
            self._requests[request.id] = request
            self._here[request.id] = None

    def remove(self, request_id: str) -> None:
        """Forget a request that has ended."""
        with self._lock:
            self._requests.pop(request_id, None)
            self._here.pop(request_id, None)
            self._cancelled.discard(request_id)
            self._told.discard(request_id)
            self._inquest.clear(request_id)
            self._mirror.cancel(request_id)
            self._mirror.admit()

    def cancel(self, request_id: str) -> None:
        """Remember that a request is wanted no more."""
        with self._lock:
            if request_id in self._requests:
                self._cancelled.add(request_id)

    def withdrawn(self) -> list[str]:
        """Return cancelled requests that are still here: they end at once."""
        with self._lock:
            return [name for name in self._cancelled if name in self._here]

    def untold(self) -> list[str]:
        """Return cancelled requests of which the process must be told, each once."""
        with self._lock:
            names = [name for name in self._cancelled - self._told if name not in self._here]
            self._told.update(names)
            return names

    def due(self) -> list[ChunkRequest]:
        """Return what goes into the process now: everything, or a group of suspects alone."""
        with self._lock:
            allowed = self._inquest.group() if self._inquest else tuple(self._here)
            names = [name for name in allowed if name in self._here]
            for name in names:
                del self._here[name]
            return [self._requests[name] for name in names]

    def bury(self) -> list[str]:
        """The process is dead: everything is here again. Return the chunks to be given up.

        Blame falls on those that had a slot; the others were only waiting in there.
        """
        with self._lock:
            inside = [name for name in self._requests if name not in self._here]
            held = [name for name in inside if self._mirror.slot_of(name) is not None]
            self._here = dict.fromkeys(self._requests)
            return self._inquest.blame(held)
