"""The decoder's network: latents and source in, samples out."""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn.functional import leaky_relu, leaky_relu_

from .convolution import convolve, upsample
from .voice_config import VoiceConfig
from .weights import Affine, Decoder, Stage

#: Slope of the activation within the stages, and of the last one.
_SLOPE: Final = 0.1
_LAST_SLOPE: Final = 0.01


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
        x = upsample(leaky_relu_(x, _SLOPE), stage.upsampling, rate)
        if source is not None and stage.source is not None:
            _add_source(x, source, stage.source, stride)
        x = _mean_of_blocks(x, stage, config)
    last = Affine(weights.last, weights.last.new_zeros(1))
    return convolve(leaky_relu_(x, _LAST_SLOPE), last).tanh_().flatten(1)


def _add_source(x: Tensor, source: Tensor, weight: Tensor, stride: int) -> None:
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
        change = convolve(leaky_relu(x, _SLOPE), dilated, dilation)
        x = convolve(leaky_relu_(change, _SLOPE), plain).add_(x)
    return x
