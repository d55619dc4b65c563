"""The decoder's network with everything between two convolutions in one kernel, for GPUs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..hifigan_fused import convolved, mean_of_blocks
from ..hifigan_kernels import finish
from ..hifigan_slopes import LAST_SLOPE, SLOPE
from .generator import add_source
from .voice_config import VoiceConfig
from .weights import Decoder, Stage


def generate_fused(
    config: VoiceConfig, weights: Decoder, z: Tensor, condition: Tensor, source: Tensor | None
) -> Tensor:
    """Return what `generate` returns."""
    slopes = (*(SLOPE for _ in weights.stages[1:]), LAST_SLOPE)
    # The kernel reads the conditions as [rows, channels].
    entry = convolved(z.transpose(1, 2)[:, :, None], weights.first.weight)
    x = finish(_laid_out(entry), weights.first.bias, SLOPE, shift=condition.contiguous())
    for stage, rate, stride, slope in zip(
        weights.stages, config.upsample_rates, config.source_strides, slopes, strict=True
    ):
        x = _upsampled(x, stage, rate, source, stride)
        x = mean_of_blocks(x, stage.blocks, config.block_dilations, slope)
    return convolved(x, weights.last).tanh_().flatten(1)


def _upsampled(x: Tensor, stage: Stage, rate: int, source: Tensor | None, stride: int) -> Tensor:
    """Return a stage's signal, the source in it, activated."""
    weight, bias = stage.upsampling.weight, stage.upsampling.bias
    # With the channels innermost, those of `rate` positions are the positions themselves.
    rows, _, _, time = x.shape
    spread = _laid_out(convolved(x, weight)).permute(0, 2, 3, 1)  # [rows, 1, time, rate out]
    x = spread.reshape(rows, 1, time * rate, -1).permute(0, 3, 1, 2)
    drive = None
    if source is not None and stage.source is not None:
        if stride == 1:
            drive = (source.contiguous(), stage.source[0])
        else:
            add_source(x[:, :, 0].transpose(1, 2), source, stage.source, stride)
    return finish(x, bias, SLOPE, drive=drive)


def _laid_out(x: Tensor) -> Tensor:
    """Return it with the channels innermost, as it is but where a size is one."""
    return x.contiguous(memory_format=torch.channels_last)
