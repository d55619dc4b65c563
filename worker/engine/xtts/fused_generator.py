"""The vocoder's network with everything between two convolutions in one kernel, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d, pad

from ..hifigan_fused import convolved, mean_of_blocks
from ..hifigan_kernels import finish
from ..hifigan_slopes import LAST_SLOPE, SLOPE
from .hifigan import Generator
from .vocoder_weights import DILATIONS, STRIDES, Stage, VocoderWeights


class FusedGenerator(Generator):
    """A `Generator` in channels last that writes each sum to memory once."""

    def __init__(self, weights: VocoderWeights, dtype: torch.dtype) -> None:
        super().__init__(weights, dtype, "channels_last")
        self._first_matrix = self._first.weight[:, :, 0].flatten(1).T.contiguous()

    def __call__(self, frames: Tensor, conditions: Tensor, ends: Sequence[int] = ()) -> Tensor:
        """Return [rows, 256 width] samples. Rows fill the width: there are no `ends` here."""
        if ends:
            raise ValueError("the fused network has no rows that end within their window")
        # Contiguous: the kernel reads them as [rows, channels].
        first, *others = (
            condition.contiguous() for condition in conditions.split(self._channels, dim=1)
        )
        x = finish(self._entry(frames), self._first.bias, SLOPE, shift=first)
        slopes = (*(SLOPE for _ in STRIDES[1:]), LAST_SLOPE)
        for stage, stride, shift, slope in zip(self._stages, STRIDES, others, slopes, strict=True):
            x = _stage(x, stage, stride, shift, slope)
        return convolved(x, self._last.weight).tanh_().flatten(1)

    def _entry(self, frames: Tensor) -> Tensor:
        """Convolve [rows, D, 1, width] as one matrix product a row.

        As a convolution it is a small one with long sums, which cuDNN splits in another way in
        the last rows than in the first: they would have other bits (see `WindowBatch`).
        """
        kernel = self._first.weight.shape[-1]
        padded = pad(frames[:, :, 0], (kernel // 2, kernel // 2))
        columns = padded.unfold(2, kernel, 1).transpose(1, 2).flatten(2)  # [rows, width, D kernel]
        return (columns @ self._first_matrix).transpose(1, 2)[:, :, None]


def _stage(x: Tensor, stage: Stage, stride: int, shift: Tensor, slope: float) -> Tensor:
    """Upsample the activated `x`; return the activated mean of the residual blocks."""
    weight, bias = stage.upsampling.weight, stage.upsampling.bias
    padding = (weight.shape[-1] - stride) // 2
    x = conv_transpose2d(x, weight, stride=(1, stride), padding=(0, padding))
    x = finish(x, bias, SLOPE, shift=shift)
    return mean_of_blocks(x, stage.blocks, [DILATIONS] * len(stage.blocks), slope)
