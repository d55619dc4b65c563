"""The memory in which rows keep the keys and values of all that came before."""

from __future__ import annotations

import math
import mmap

import torch
from torch import Tensor

from .weights import GptWeights


def slot_cache(weights: GptWeights, slots: int) -> Tensor:
    """Return zeros [layers, 2 (keys, values), slots, heads, positions, head_dim].

    On a processor the machine gives memory only to what is written: a slot of the published model
    may take 256 MB in float32, and a row of 5 s fills a fifth of it. torch writes its zeros.
    """
    shape = (
        *(len(weights.layers), 2, slots),
        *(weights.heads, weights.positions, weights.head_dim),
    )
    if weights.device.type != "cpu":
        return torch.zeros(shape, dtype=weights.dtype, device=weights.device)
    memory = mmap.mmap(-1, math.prod(shape) * weights.dtype.itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        # One position of one head would have 2 MB otherwise, which holds eight heads' all.
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=weights.dtype).view(shape)
