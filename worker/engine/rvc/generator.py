"""The decoder's network: latents and source in, samples out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, leaky_relu_

from ..hifigan_slopes import LAST_SLOPE, SLOPE
from ..triton_support import has_triton
from .convolution import convolve, upsample
from .voice_config import VoiceConfig
from .weights import Affine, Decoder, Stage

#: (sizes, weights, z, condition, source) -> samples, as `generate` has them.
Generator = Callable[[VoiceConfig, Decoder, Tensor, Tensor, Tensor | None], Tensor]


def generator_for(device: torch.device, *, triton: bool) -> Generator:
    """Return the network for a device; with `triton` the fused one, where the device can."""
    if not triton or not has_triton(device):
        return generate
    # Where there is no GPU its compiler need not be.
    from .fused_generator import generate_fused

    return generate_fused


def generate(
    config: VoiceConfig, weights: Decoder, z: Tensor, condition: Tensor, source: Tensor | None
) -> Tensor:
    """Return [rows, frames * samples_per_frame] samples in the dtype of the weights.

    `z` [rows, frames, inter]; `condition` [rows, channels] is what the speaker adds to the first
    convolution; `source` [rows, frames * samples_per_frame], None for a voice without pitch.
    """
    x = convolve(z, weights.first).add_(condition[:, None])
    for stage, rate, stride in zip(
        weights.stages, config.upsample_rates, config.source_strides, strict=True
    ):
        x = upsample(leaky_relu_(x, SLOPE), stage.upsampling, rate)
        if source is not None and stage.source is not None:
            add_source(x, source, stage.source, stride)
        x = _mean_of_blocks(x, stage, config)
    last = Affine(weights.last, weights.last.new_zeros(1))
    return convolve(leaky_relu_(x, LAST_SLOPE), last).tanh_().flatten(1)


def add_source(x: Tensor, source: Tensor, weight: Tensor, stride: int) -> None:
    """Add to each position of `x` [rows, time, channels] its samples of the source, mapped."""
    if stride == 1:
        x.addcmul_(source[:, :, None], weight)
        return
    # Half a stride before the position's samples, and half a stride behind them.
    rows, time, channels = x.shape
    padded = source.new_zeros(rows, (time + 1) * stride)
    padded[:, stride // 2 : stride // 2 + time * stride] = source
    samples = padded.unfold(1, 2 * stride, stride)  # [rows, time, 2 stride]
    x.view(-1, channels).addmm_(samples.reshape(-1, 2 * stride), weight)


def _mean_of_blocks(x: Tensor, stage: Stage, config: VoiceConfig) -> Tensor:
    blocks = zip(stage.blocks, config.block_dilations, strict=True)
    total, *others = (_residual(x, block, dilations) for block, dilations in blocks)
    for one in others:
        total.add_(one)
    return total.div_(len(stage.blocks))


def _residual(
    x: Tensor, block: tuple[tuple[Affine, Affine], ...], dilations: tuple[int, ...]
) -> Tensor:
    for (dilated, plain), dilation in zip(block, dilations, strict=True):
        change = convolve(leaky_relu(x, SLOPE), dilated, dilation)
        x = convolve(leaky_relu_(change, SLOPE), plain).add_(x)
    return x
