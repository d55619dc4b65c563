"""How many of the decoder's windows a GPU computes at once. Plain numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

#: Positions of a batch, at the decoder's last stage, between which cuDNN is five times as slow as
#: on both sides (measured on one NVIDIA H200, fp16: 40 kHz in windows of 512 frames and others;
#: XTTS' vocoder agrees).
GOOD_TO: Final = 409_600
GOOD_FROM: Final = 1_228_800

#: What one more batch costs, in windows: about what the host needs to begin it.
_BATCH_COST: Final = 0.6


@lru_cache(maxsize=1024)
def portions(count: int, positions: int, most: int) -> tuple[int, ...]:
    """Return how many rows each batch has in which `count` windows of `positions` are computed.

    They may be more than there are windows, where that is cheaper, and more than `most` only where
    no fewer are good.
    """
    least_good = -(-GOOD_FROM // positions)
    sizes = [
        rows
        for rows in range(1, max(most, least_good) + 1)
        if rows * positions <= GOOD_TO or rows >= least_good
    ]
    most = max(sizes)
    whole, rest = divmod(count, most)
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for some in range(1, rest + 1):
        best.append(
            min(
                (cost + size + _BATCH_COST, (size, *others))
                for size in sizes
                for cost, others in [best[max(0, some - size)]]
            )
        )
    return (most,) * whole + tuple(sorted(best[rest][1], reverse=True))
