"""Where each chunk of an engine is: it waits, is decoded, becomes audio, or is converted.

A chunk that is only spoken gives its slot back when its row has ended. So do some of those that are
converted, about as many as make a batch; the others keep theirs until the end. So conversion that
keeps up costs no rows, and when it is what takes longest, fewer rows are decoded, no audio piles up
before it, and whoever asks for room is told the truth.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Sequence
from typing import Final

from .lifecycle import Facts
from .request import ChunkRequest
from .scheduler import Scheduler, awaited_rows_of, reserve_of

#: Of so many slots, one chunk more may be converted while another has its slot.
SLOTS_FOR_ONE: Final = 4

Rows = Sequence[tuple[int, ChunkRequest]]


class Whereabouts:
    """Thread-safe; never holds its lock while somebody else's code runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._scheduler = Scheduler(1, 0)
        self._unwanted: set[str] = set()
        #: Slots whose rows are in the model, and requests whose rows have left it or never were.
        self._decoding: dict[int, ChunkRequest] = {}
        self._beyond: dict[str, ChunkRequest] = {}
        #: Of those beyond, the ones to be converted that have given their slots to others.
        self._apart: set[str] = set()
        # When each chunk that has begun got its slot.
        self._began_s: dict[str, float] = {}
        self._busy_since_s = 0.0
        self._is_closed = False

    def open(self, slots: int, interactive_share: float, awaited_share: float) -> None:
        """Begin to take chunks in: so many at the same time."""
        reserve = reserve_of(slots, interactive_share)
        with self._changed:
            self._scheduler = Scheduler(slots, reserve, awaited_rows_of(slots, awaited_share))

    def close(self) -> None:
        """Let `wait` return."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._is_closed

    @property
    def is_decoding(self) -> bool:
        """True while the model has rows."""
        return bool(self._decoding)

    @property
    def is_awaited(self) -> bool:
        """True while the model has rows that somebody waits for."""
        return any(request.interactive for request in self._decoding.values())

    def add(self, request: ChunkRequest) -> None:
        """Take a chunk in; it waits."""
        with self._changed:
            if self._is_idle():
                self._busy_since_s = self._clock()
            self._scheduler.add(request)
            self._changed.notify_all()

    def ask_to_leave(self, request_id: str) -> None:
        """Note that nobody wants a chunk any more."""
        with self._changed:
            self._unwanted.add(request_id)
            self._changed.notify_all()

    def room(self, interactive: bool) -> int:
        """Return how many more of this class would begin at once."""
        with self._changed:
            return self._scheduler.room(interactive)

    def wait(self) -> bool:
        """Sleep until there is something to do; False if that is to end."""
        with self._changed:
            while self._is_idle() and not self._is_closed:
                self._changed.wait()
            return not self._is_closed

    def leave(self) -> tuple[set[str], list[int]]:
        """Let the unwanted go. Return their ids, and the slots that the model must forget."""
        with self._changed:
            names, self._unwanted = self._unwanted, set()
            slots = []
            for name in names:
                slot = self._forget(name)
                if slot is not None and slot in self._decoding:
                    del self._decoding[slot]
                    slots.append(slot)
            return names, slots

    def admit(self) -> Rows:
        """Let in who may begin. Recordings have a slot too, but no row."""
        with self._changed:
            rows = self._scheduler.admit()
            for slot, request in rows:
                self._began_s[request.id] = self._clock()
                if request.recording is None:
                    self._decoding[slot] = request
                else:
                    self._beyond[request.id] = request
            return rows

    def put_back(self, slots: Sequence[int]) -> bool:
        """Let rows wait that were just let in; False if one is alone, which then leaves."""
        with self._changed:
            is_alone = len(self._decoding) == 1 and self._scheduler.active == 1
            for slot in slots:
                self._began_s.pop(self._decoding.pop(slot).id)
            if is_alone:
                self._scheduler.finish(slots[0])
            else:
                self._scheduler.put_back(slots)
            return not is_alone

    def ends_with(self, ended: Sequence[int]) -> bool:
        """Tell whether nothing is left to decode once these rows have ended."""
        with self._changed:
            # Who waits may wait for a slot that only audio which is being made will free.
            is_held = self._scheduler.active > len(self._decoding) or any(
                self._decoding[slot].conversion for slot in ended
            )
            return len(self._decoding) == len(ended) and (is_held or not self._scheduler.waiting)

    def free(self, ended: Sequence[int]) -> None:
        """Rows have left the model; let others have the slots that they no longer need."""
        with self._changed:
            for slot in ended:
                request = self._decoding.pop(slot)
                self._beyond[request.id] = request
                if request.conversion is not None:
                    if len(self._apart) >= self._scheduler.slots // SLOTS_FOR_ONE:
                        continue
                    self._apart.add(request.id)
                self._scheduler.finish(slot)

    def end(self, request_id: str) -> float | None:
        """Forget a chunk that has ended; return how long ago it began, None if it is not here."""
        with self._changed:
            began_s = self._began_s.get(request_id)
            self._forget(request_id)
            return None if began_s is None else self._clock() - began_s

    def fail(self, spared: Container[str]) -> tuple[list[str], list[int]]:
        """Let go of all that the model has: rows and what becomes audio.

        The `spared` have left it already; recordings were never there.

        Return their ids, and the slots that the model must forget.
        """
        with self._changed:
            slots = list(self._decoding)
            names = [request.id for request in self._decoding.values()]
            names += [
                name
                for name, one in self._beyond.items()
                if one.recording is None and name not in spared
            ]
            self._decoding.clear()
            for name in names:
                self._forget(name)
            return names, slots

    @property
    def busy_since_s(self) -> float | None:
        """When there was work again after there had been none; None while there is none."""
        with self._changed:
            return None if self._is_idle() else self._busy_since_s

    def facts(self) -> Facts:
        """Return how many are where, plain JSON."""
        with self._changed:
            return {
                "active": self._scheduler.active,
                "sounding": len(self._beyond),
                "waiting": self._scheduler.waiting,
            }

    def _is_idle(self) -> bool:
        return not (self._scheduler.active or self._scheduler.waiting or self._beyond)

    def _forget(self, request_id: str) -> int | None:
        self._beyond.pop(request_id, None)
        self._apart.discard(request_id)
        self._began_s.pop(request_id, None)
        return self._scheduler.cancel(request_id)
