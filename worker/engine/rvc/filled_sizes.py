"""The few sizes that shapes on a GPU are filled up to. Plain numbers.

What a library prepares for a shape that it has not seen takes longer than to compute it, and is
kept. Recordings have lengths of their own, so that without this nearly every batch would be new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch

#: Sizes from a power of two up to the next one. All of them are computed once before the first job
#: (0.17 s for one of RMVPE's; measured on one NVIDIA H100).
_STEPS: Final = 2


def few_shapes_on(device: torch.device) -> bool:
    """Tell whether shapes are to be filled up where something is computed."""
    return device.type == "cuda"


def filled(size: int, unit: int = 1) -> int:
    """Return the least of the few sizes that is not below `size`.

    They are 1, 2, 3, 4, 6, 8, 12, 16, 24 .. times `unit`: beyond four of it a third is filled up at
    most, and a sixth on average.
    """
    count = max(1, -(-size // unit))
    step = max(1, (1 << (count - 1).bit_length()) // (2 * _STEPS))
    return -(-count // step) * step * unit


def power_of_two(size: int) -> int:
    """Return the least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


def all_filled(most: int, unit: int = 1) -> list[int]:
    """Return all sizes that `filled` makes of 1 .. `most`."""
    return sorted({filled(size, unit) for size in range(1, most + 1)})
