"""How many steps a turn has, between two looks at which rows have ended. Pure.

What rows draw does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..request import ChunkRequest

#: Usually. A row that has ended idles for half of them.
BURST_STEPS: Final = 8

#: At most while somebody waits for one of the rows: it begins sooner, and is seen sooner to have
#: ended, by half a turn each. Costs 3 % of the rate (measured on one NVIDIA H200, 384 rows).
AWAITED_BURST_STEPS: Final = 4


def steps_of(most: int, rows: Iterable[ChunkRequest]) -> int:
    """Return the steps of the next turn of these rows, `most` or fewer."""
    is_awaited = any(request.interactive for request in rows)
    return min(most, AWAITED_BURST_STEPS) if is_awaited else most
