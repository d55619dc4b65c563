"""How much batch work the dispatcher lets wait in the queue. Pure.

Enough that no worker is idle between two looks of the dispatcher, and so little that a window
can close, and a newcomer gets its turn, within about a minute.
"""

from __future__ import annotations

import math
from typing import Final

#: Seconds of the farm's work that may wait in the queue.
AHEAD_S: Final = 60.0

#: Seconds of audio that may wait while the rate of the farm is not known: a few items.
UNKNOWN_AHEAD_S: Final = 120.0


def lead_s(rate: float | None, left_s: float = math.inf) -> float:
    """Return how many seconds of audio may wait in the queue.

    `rate` is the farm's, in seconds of audio a second, None if unknown. A window that closes in
    `left_s` seconds should find the queue empty.
    """
    if left_s <= 0:
        return 0.0
    if rate is None:
        return UNKNOWN_AHEAD_S
    return rate * min(AHEAD_S, left_s)
