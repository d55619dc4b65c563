"""The diary of one `up`: every decision is told, and kept where `workers --why` reads it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from producer.decisions import Action, Decision

from .farm_view import BrokerAway, FarmView

#: Decisions that wait for a broker that is away; older ones are lost.
WAITING_LIMIT: Final = 200


class Diary:
    """Tells and keeps what is decided."""

    def __init__(
        self,
        view: FarmView,
        host: str,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._host = host
        self._tell = tell
        self._clock = clock
        self._waiting: deque[Decision] = deque(maxlen=WAITING_LIMIT)
        self._last: Action | None = None

    def note(
        self, action: Action, node: str, workers: int, reason: str, *, told: bool = True
    ) -> None:
        """Note a decision that leaves `workers`; to hold again and again is noted once."""
        if action is Action.HOLD and self._last is Action.HOLD:
            return
        self._last = action
        if told and action is not Action.HOLD:
            self._tell(" ".join(filter(None, (action.value, f"{node}:", reason))))
        self._waiting.append(
            Decision(self._clock(), self._host, action, node, workers, reason.splitlines()[0])
        )
        self.flush()

    def flush(self) -> None:
        """Keep what could not be kept before."""
        try:
            while self._waiting:
                self._view.record(self._waiting[0])
                self._waiting.popleft()
        except BrokerAway:
            return
