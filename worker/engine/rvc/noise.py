"""Normal noise that depends on a seed and a place and nothing else: not on row, batch or device.

A counter is hashed at every place; two parts of the hash become one normal number (Box and
Muller). So any stretch of it can be drawn at any time, alone or among others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from ..counter_hash import GOLDEN, UNIFORM_BITS, hashed, uniform

#: (seeds [rows], stream, first place [rows], count) -> [rows, count] float32, normal.
Noise = Callable[[Tensor, int, Tensor, int], Tensor]

#: What is drawn for: the latents, by frame and channel, and the source, by sample.
LATENTS: Final = 0
SOURCE: Final = 1


def counter_noise(seeds: Tensor, stream: int, firsts: Tensor, count: int) -> Tensor:
    """Return normal noise [rows, count] for the places from `firsts` [rows] on, on their device."""
    keys = hashed(hashed(seeds) + (stream + 1))
    places = firsts[:, None] + torch.arange(1, count + 1, device=seeds.device)
    hashes = hashed(places.mul_(GOLDEN).add_(keys[:, None]))
    radius = uniform(hashes).log_().mul_(-2).sqrt_()
    angle = uniform(hashes, 64 - 2 * UNIFORM_BITS).mul_(2 * math.pi)
    return radius.mul_(angle.cos_())


def no_noise(seeds: Tensor, _stream: int, _firsts: Tensor, count: int) -> Tensor:
    """Return zeros, for comparisons."""
    return torch.zeros(len(seeds), count, device=seeds.device)
