"""The few sizes that shapes on a GPU are filled up to. Plain numbers.

What a library prepares for a shape that it has not seen takes longer than to compute it, and is
kept. Recordings have lengths of their own, so that without this nearly every batch would be new.
"""

from __future__ import annotations

from typing import Final

#: Sizes from a power of two up to the next one.
_STEPS: Final = 4


def filled(size: int, unit: int = 1) -> int:
    """Return the least of the few sizes that is not below `size`.

    They are 1, 2, .. 8, 10, 12, 14, 16, 20 .. times `unit`: beyond eight of it a sixth is filled
    up at most.
    """
    count = max(1, -(-size // unit))
    step = max(1, (1 << (count - 1).bit_length()) // (2 * _STEPS))
    return -(-count // step) * step * unit
