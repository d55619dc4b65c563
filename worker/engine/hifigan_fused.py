"""The residual blocks of a HiFi-GAN with everything between two convolutions in one kernel.

Signals are [rows, channels, 1, time], channels last; each sum is written to memory once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from .hifigan_kernels import finish
from .hifigan_slopes import SLOPE


class Convolution(Protocol):
    """A convolution over time."""

    @property
    def weight(self) -> Tensor:
        """[out, in, 1, kernel], channels last."""

    @property
    def bias(self) -> Tensor:
        """[out]."""


#: For each dilation a dilated and a plain convolution.
Block = Sequence[tuple[Convolution, Convolution]]


def mean_of_blocks(
    plain: Tensor,
    active: Tensor,
    blocks: Sequence[Block],
    dilations: Sequence[Sequence[int]],
    slope: float,
) -> Tensor:
    """Return the activated mean of what residual blocks make of a signal.

    The signal comes twice, as it is and activated; `slope` is that of the activation behind the
    mean. One row of `dilations` for each block.
    """
    mixed: Tensor | None = None
    for place, (block, steps) in enumerate(zip(blocks, dilations, strict=True), 1):
        total, entry = plain, active
        for (dilated, straight), dilation in zip(block[:-1], steps[:-1], strict=True):
            change = _changed(entry, dilated, straight, dilation)
            summed = torch.empty_like(change)
            entry = finish(change, straight.bias, SLOPE, residual=total, summed=summed)
            total = summed
        dilated, straight = block[-1]
        change = _changed(entry, dilated, straight, steps[-1])
        if place < len(blocks):
            mixed = finish(change, straight.bias, None, residual=total, others=mixed)
    return finish(change, straight.bias, slope, residual=total, others=mixed, gain=1 / len(blocks))


def convolved(x: Tensor, weight: Tensor, dilation: int = 1) -> Tensor:
    """Convolve without the bias, to as many positions as there are."""
    padding = (weight.shape[-1] - 1) // 2 * dilation
    return conv2d(x, weight, padding=(0, padding), dilation=(1, dilation))


def _changed(x: Tensor, dilated: Convolution, straight: Convolution, dilation: int) -> Tensor:
    """Return what a pair of convolutions makes of the activated `x`, its last bias missing."""
    between = finish(convolved(x, dilated.weight, dilation), dilated.bias, SLOPE)
    return convolved(between, straight.weight)
