"""Numbers by chance that depend on a counter and nothing else: not on row, batch or device.

splitmix64's finish, on tensors of int64, which wrap around as it does.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor

#: Odd constants of splitmix64, as signed integers. Counters are multiples of the first.
GOLDEN: Final = 0x9E3779B97F4A7C15 - 2**64
_MIX_1: Final = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2: Final = 0x94D049BB133111EB - 2**64

#: Bits of a hash that become a number: exact in float32, and with half a step never 0 or 1.
UNIFORM_BITS: Final = 23


def hashed(values: Tensor) -> Tensor:
    """Return the hash of each value: every bit of it changes about half of those that come out."""
    values = (values ^ _shifted(values, 30)).mul_(_MIX_1)
    values = values.bitwise_xor_(_shifted(values, 27)).mul_(_MIX_2)
    return values.bitwise_xor_(_shifted(values, 31))


def uniform(hashes: Tensor, shift: int = 64 - UNIFORM_BITS) -> Tensor:
    """Return bits of each hash, from `shift` on, as a number between 0 and 1, float32."""
    bits = (hashes >> shift).bitwise_and_(2**UNIFORM_BITS - 1)
    return bits.float().add_(0.5).mul_(2.0**-UNIFORM_BITS)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Return a shift to the right that brings in zeros, where tensors bring in the sign."""
    return (values >> bits).bitwise_and_(2 ** (64 - bits) - 1)
