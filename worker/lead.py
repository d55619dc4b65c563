"""How much batch work the dispatcher lets wait in the queue. Pure.

Enough that no worker is idle between two looks of the dispatcher, and so little that a window
can close, and a newcomer gets its turn, within about a minute.
"""

from __future__ import annotations

import math
from typing import Final

#: Seconds of the farm's work that may wait in the queue.
AHEAD_S: Final = 60.0

#: Seconds of audio that may wait while nobody knows how fast the farm is: some sentences.
FIRST_S: Final = 60.0


class Lead:
    """The lead of one farm, which is felt for until its rate is known."""

    def __init__(self) -> None:
        self._felt_s = FIRST_S

    def room_s(self, rate: float | None, queued_s: float) -> float:
        """Return how many seconds of audio may be added to the `queued_s` that wait.

        `rate` is the farm's, in seconds of audio a second, None if unknown. Then what the farm
        empties between two looks is doubled: at most two looks' worth of work waits.
        """
        if rate is not None:
            self._felt_s = FIRST_S
            return max(0.0, rate * AHEAD_S - queued_s)
        if queued_s < self._felt_s / 4:
            self._felt_s *= 2
        return max(0.0, self._felt_s - queued_s)


def until_close_s(rate: float | None, left_s: float) -> float:
    """Return how many seconds of audio fit in before a window closes in `left_s` seconds."""
    return math.inf if rate is None else rate * left_s
