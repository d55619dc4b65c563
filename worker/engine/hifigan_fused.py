"""The residual blocks of a HiFi-GAN with everything between two convolutions in one pass.

Signals are [rows, channels, 1, time], channels last. Each is written to memory once, activated:
what it was before follows from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor
from torch.nn.functional import conv2d

from .hifigan_convolution import convolve, fits
from .hifigan_kernels import finish
from .hifigan_slopes import AS_IS, SLOPE


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
    x: Tensor, blocks: Sequence[Block], dilations: Sequence[Sequence[int]], slope: float
) -> Tensor:
    """Return the activated mean of what residual blocks make of a signal, which comes activated.

    `slope` is that of the activation behind the mean. One row of `dilations` for each block.
    """
    mixed: Tensor | None = None
    for block, steps in zip(blocks[:-1], dilations[:-1], strict=True):
        mixed = _through(x, block, steps, AS_IS, mixed)
    return _through(x, blocks[-1], dilations[-1], slope, mixed, 1 / len(blocks))


def convolved(x: Tensor, weight: Tensor, dilation: int = 1) -> Tensor:
    """Convolve without the bias, to as many positions as there are."""
    padding = (weight.shape[-1] - 1) // 2 * dilation
    return conv2d(x, weight, padding=(0, padding), dilation=(1, dilation))


def _through(
    x: Tensor,
    block: Block,
    steps: Sequence[int],
    slope: float,
    others: Tensor | None,
    gain: float = 1.0,
) -> Tensor:
    """Return what one block makes of `x`, plus `others`, times `gain`, activated with `slope`."""
    way = convolve if fits(x) else _convolved_by_library
    for (dilated, straight), dilation in zip(block[:-1], steps[:-1], strict=True):
        between = way(x, dilated.weight, dilated.bias, SLOPE, dilation)
        x = way(between, straight.weight, straight.bias, SLOPE, residual=x)
    dilated, straight = block[-1]
    between = way(x, dilated.weight, dilated.bias, SLOPE, steps[-1])
    return way(between, straight.weight, straight.bias, slope, residual=x, others=others, gain=gain)


def _convolved_by_library(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    slope: float,
    dilation: int = 1,
    *,
    residual: Tensor | None = None,
    others: Tensor | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Return what `convolve` returns, for what does not fit it."""
    x = convolved(x, weight, dilation)
    return finish(x, bias, slope, residual=residual, others=others, gain=gain)
