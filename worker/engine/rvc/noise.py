"""Normal noise that depends on a seed and a place and nothing else: not on row, batch or device.

A counter is hashed (splitmix64) at every place; two halves of the hash become one normal number
(Box and Muller). So any stretch of it can be drawn at any time, alone or among others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

#: (seeds [rows], stream, first place [rows], count) -> [rows, count] float32, normal.
Noise = Callable[[Tensor, int, Tensor, int], Tensor]

#: What is drawn for: the latents, by frame and channel, and the source, by sample.
LATENTS: Final = 0
SOURCE: Final = 1

#: Odd constants of splitmix64, as signed integers: tensors wrap around like it does.
_GOLDEN: Final = 0x9E3779B97F4A7C15 - 2**64
_MIX_1: Final = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2: Final = 0x94D049BB133111EB - 2**64

#: Bits of each half that become a number: exact in float32, and with half a step never 0 or 1.
_BITS: Final = 23


def counter_noise(seeds: Tensor, stream: int, firsts: Tensor, count: int) -> Tensor:
    """Return normal noise [rows, count] for the places from `firsts` [rows] on, on their device."""
    keys = _mixed(_mixed(seeds) + (stream + 1))
    places = firsts[:, None] + torch.arange(1, count + 1, device=seeds.device)
    hashes = _mixed(places.mul_(_GOLDEN).add_(keys[:, None]))
    radius = _uniform(hashes, 64 - _BITS).log_().mul_(-2).sqrt_()
    angle = _uniform(hashes, 64 - 2 * _BITS).mul_(2 * math.pi)
    return radius.mul_(angle.cos_())


def no_noise(seeds: Tensor, _stream: int, _firsts: Tensor, count: int) -> Tensor:
    """Return zeros, for comparisons."""
    return torch.zeros(len(seeds), count, device=seeds.device)


def _uniform(hashes: Tensor, shift: int) -> Tensor:
    """Return 23 bits of each hash, from `shift` on, as a number between 0 and 1."""
    bits = (hashes >> shift).bitwise_and_(2**_BITS - 1)
    return bits.float().add_(0.5).mul_(2.0**-_BITS)


def _mixed(values: Tensor) -> Tensor:
    """Return splitmix64's finish of each value."""
    values = (values ^ _shifted(values, 30)).mul_(_MIX_1)
    values = values.bitwise_xor_(_shifted(values, 27)).mul_(_MIX_2)
    return values.bitwise_xor_(_shifted(values, 31))


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Return a shift to the right that brings in zeros, where tensors bring in the sign."""
    return (values >> bits).bitwise_and_(2 ** (64 - bits) - 1)
