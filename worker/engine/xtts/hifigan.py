"""The vocoder's network, HiFi-GAN: frames in, samples out. Plain functions of fixed shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import (
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    leaky_relu,
    leaky_relu_,
)

from ..hifigan_slopes import LAST_SLOPE, SLOPE
from .vocoder_weights import DILATIONS, STRIDES, Block, Convolution, Stage, VocoderWeights

#: `time`: [rows, channels, time]. `channels_last`: [rows, channels, 1, time] with the channels
#: innermost, which is how tensor cores like to read half precision. A processor is a third
#: faster with it too (measured in float32, one thread, the published shapes).
Layout = Literal["time", "channels_last"]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where rows end that fill less than the width of their batch."""

    width: int
    #: One for each row, in frames; none at all if every row fills the width.
    frames: Sequence[int]

    def cut(self, x: Tensor) -> Tensor:
        """Zero in place what lies beyond the ends, in any layer. Return the same tensor."""
        steps_a_frame = x.shape[-1] // self.width
        for row, end in zip(x, self.frames, strict=False):
            if end < self.width:
                row[..., end * steps_a_frame :] = 0.0
        return x


class Generator:
    """The network in one dtype and layout. Calls share nothing; no call waits for the device."""

    def __init__(
        self,
        weights: VocoderWeights,
        dtype: torch.dtype,
        layout: Layout,
    ) -> None:
        self._dtype = dtype
        self._layout = layout
        self._device = weights.last.device
        self._width = weights.width
        self._channels = list(weights.channels)
        self._first = self._laid_out(weights.first)
        self._stages = tuple(
            Stage(
                self._laid_out(stage.upsampling),
                tuple(
                    tuple((self._laid_out(one), self._laid_out(two)) for one, two in block)
                    for block in stage.blocks
                ),
            )
            for stage in weights.stages
        )
        # It has no bias; adding zeros to it changes no bit.
        self._last = self._laid_out(Convolution(weights.last, weights.last.new_zeros(1)))

    def frames(self, rows: int, width: int) -> Tensor:
        """Return an empty batch in the layout: [rows, D, width] or [rows, D, 1, width]."""
        if self._layout == "time":
            return torch.zeros(rows, self._width, width, dtype=self._dtype, device=self._device)
        frames = torch.zeros(rows, self._width, 1, width, dtype=self._dtype, device=self._device)
        return frames.to(memory_format=torch.channels_last)

    def conditions(self, rows: int) -> Tensor:
        """Return an empty batch of what voices add: [rows, sum of channels]."""
        return torch.zeros(rows, sum(self._channels), dtype=self._dtype, device=self._device)

    def __call__(self, frames: Tensor, conditions: Tensor, ends: Sequence[int] = ()) -> Tensor:
        """Return [rows, 256 width] samples.

        With `ends`, one a row, a row is an utterance of so many frames: beyond its end every layer
        finds the zeros that it finds beyond the width. What comes out there has no meaning.
        """
        until = _Ends(frames.shape[-1], ends)
        ones = (1,) * (frames.dim() - 2)
        first, *others = (
            condition.reshape(*condition.shape, *ones)
            for condition in conditions.split_with_sizes(self._channels, dim=1)
        )
        x = self._convolve(until.cut(frames), self._first).add_(first)
        for stage, stride, condition in zip(self._stages, STRIDES, others, strict=True):
            x = until.cut(leaky_relu_(x, SLOPE))
            x = self._upsample(x, stage.upsampling, stride).add_(condition)
            total, *rest = (self._residual(x, block, until) for block in stage.blocks)
            for one in rest:
                total.add_(one)
            x = total.div_(len(stage.blocks))
        x = self._convolve(until.cut(leaky_relu_(x, LAST_SLOPE)), self._last)
        return x.tanh_().flatten(1)

    def _residual(self, x: Tensor, block: Block, until: _Ends) -> Tensor:
        for (dilated, plain), dilation in zip(block, DILATIONS, strict=True):
            change = self._convolve(until.cut(leaky_relu(x, SLOPE)), dilated, dilation)
            x = self._convolve(until.cut(leaky_relu_(change, SLOPE)), plain).add_(x)
        return x

    def _convolve(self, x: Tensor, by: Convolution, dilation: int = 1) -> Tensor:
        padding = (by.weight.shape[-1] - 1) // 2 * dilation
        if self._layout == "time":
            return conv1d(x, by.weight, by.bias, padding=padding, dilation=dilation)
        return conv2d(x, by.weight, by.bias, padding=(0, padding), dilation=(1, dilation))

    def _upsample(self, x: Tensor, by: Convolution, stride: int) -> Tensor:
        padding = (by.weight.shape[-1] - stride) // 2
        if self._layout == "time":
            return conv_transpose1d(x, by.weight, by.bias, stride=stride, padding=padding)
        return conv_transpose2d(x, by.weight, by.bias, stride=(1, stride), padding=(0, padding))

    def _laid_out(self, convolution: Convolution) -> Convolution:
        weight = convolution.weight.to(self._dtype)
        if self._layout == "channels_last":
            weight = weight[:, :, None].contiguous(memory_format=torch.channels_last)
        return Convolution(weight, convolution.bias.to(self._dtype))


def generator_for(
    weights: VocoderWeights, dtype: torch.dtype, layout: Layout, *, triton: bool
) -> Generator:
    """Return the network; with `triton` the one for GPUs, whose layout is channels last."""
    if not triton:
        return Generator(weights, dtype, layout)
    # Where there is no GPU its compiler need not be.
    from .fused_generator import FusedGenerator

    return FusedGenerator(weights, dtype)
