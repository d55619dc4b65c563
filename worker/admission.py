"""Admission: a message is taken only when the engine has room for its class.

Celery's prefetch counts threads; what limits a worker is the engine. So the consumer is
asked to look at the engine before each message, and hoards nothing: the next job goes to
whichever worker can start it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, Final

from celery.worker import state as celery_state
from kombu.utils.scheduling import priority_cycle

from producer.queues import ASSEMBLY_QUEUE, QUEUE_OF, Priority

#: How long the broker holds our request for a message while only interactive work would be
#: taken. Short: batch work may have room again at any moment, and must not wait for it.
RESTRICTED_POLL_S: Final = 0.02

#: How long it holds our request otherwise (kombu's own default).
OPEN_POLL_S: Final = 1.0

_INTERACTIVE_QUEUE: Final = QUEUE_OF[Priority.INTERACTIVE]

#: A book goes before batch work: it takes no row of the engine, and would never be reached behind
#: a queue that is never empty.
_ORDER: Final = (_INTERACTIVE_QUEUE, ASSEMBLY_QUEUE, QUEUE_OF[Priority.BATCH])


class Admission:
    """Counts the messages in hand that the engine does not know of yet."""

    def __init__(
        self, capacity: Callable[[bool], int], books: Callable[[], bool] = lambda: False
    ) -> None:
        """`books` tells whether one more book may be assembled here."""
        self._capacity = capacity
        self._books = books
        self._lock = threading.Lock()
        self._settled = 0

    def room(self, *, interactive: bool) -> int:
        """Return how many more jobs of this class the engine could start at once."""
        promised = max(0, len(celery_state.reserved_requests) - self._settled)
        return max(0, self._capacity(interactive) - promised)

    def room_for(self, queue: str) -> int:
        """Return how many more messages of this queue could be started at once."""
        if queue == ASSEMBLY_QUEUE:
            return int(self._books())
        return self.room(interactive=queue == _INTERACTIVE_QUEUE)

    @contextmanager
    def passage(self) -> Iterator[Callable[[], None]]:
        """Around a task: yields `settle`, to be called once it will ask the engine no more.

        From then on the engine's own count stands for it: its chunks have their slots or
        wait in line, or it needs none.
        """
        settled = False

        def settle() -> None:
            nonlocal settled
            if not settled:
                settled = True
                self._count(+1)

        try:
            yield settle
        finally:
            if settled:
                self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._settled += change

    def gate(self, channel: Any) -> None:
        """Have a kombu channel ask for room before it asks the broker for a message."""
        allowed_by_prefetch = channel.qos.can_consume

        def can_consume(_: Any) -> bool:
            if channel._in_poll:
                # The answer may hold a message, which is nobody's until it is read.
                return True
            batch, interactive = self.room(interactive=False), self.room(interactive=True)
            channel.brpop_timeout = OPEN_POLL_S if batch else RESTRICTED_POLL_S
            return bool(batch or interactive) and bool(allowed_by_prefetch())

        def room_for(queue: str) -> int:
            limit = channel.qos.can_consume_max_estimate()
            room = self.room_for(queue)
            return room if limit is None else min(room, limit)

        channel.qos.can_consume = MethodType(can_consume, channel.qos)
        channel._queue_cycle.room_for = room_for


class ClassCycle(priority_cycle):
    """The queues to take from now, interactive first, and how much.

    kombu makes one a channel (`queue_order_strategy`); `Admission.gate` tells it of the room.
    """

    room_for: Callable[[str], int] = staticmethod(lambda _: 1)

    def room(self, n: int) -> dict[str, int]:
        """Return how many messages may be taken, of each queue that there is room for."""
        known = {queue: place for place, queue in enumerate(_ORDER)}
        queues = sorted(self.items[:n], key=lambda queue: known.get(queue, len(known)))
        return {queue: room for queue in queues if (room := self.room_for(queue))}

    def consume(self, n: int) -> list[str]:
        """Return the queues that there is room for."""
        return list(self.room(n))
