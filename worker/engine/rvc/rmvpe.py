"""RMVPE's network: how likely each pitch is in each frame of a log-mel spectrogram.

A U-Net over time and bands, and a recurrence over time. Recordings of different lengths share a
batch, exactly: behind a recording's end everything is kept at zero, which is what a convolution
would see there if the recording were alone, and the recurrence turns round at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, linear, pad
from torch.nn.utils.rnn import pad_sequence

from ..transfers import uploaded
from .recurrence import Recurrence
from .rmvpe_file import Block, Convolution, Rise, RmvpeWeights


class Rmvpe:
    """The network on one device. Calls share nothing."""

    def __init__(self, weights: RmvpeWeights) -> None:
        self._weights = weights
        self._device = weights.head_weight.device
        self._dtype = weights.head_weight.dtype
        self._recurrence = Recurrence(weights.recurrence)

    @torch.inference_mode()
    def heard(self, spectrograms: Tensor, frames: Sequence[int]) -> list[Tensor]:
        """Return what the recurrence is to read of spectrograms [rows, BANDS, frames].

        Each row has its own number of `frames`, and zeros behind them. As upstream does, it is
        filled up to the alignment with zeros; what lies behind that has no part in it. A row
        becomes [aligned frames, channels bands].
        """
        unit = self._weights.alignment
        lengths = [-(-count // unit) * unit for count in frames]
        batch = pad(spectrograms, (0, max(lengths) - spectrograms.shape[2])).to(self._dtype)
        inside = None if min(lengths) == max(lengths) else self._inside(lengths)
        hidden = self._unet(batch.mT[:, None], self._masks(inside))
        # [rows, channels, frames, bands] -> [rows, frames, channels bands]
        rows = hidden.transpose(1, 2).flatten(2)
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]

    @torch.inference_mode()
    def salience(self, heard: Sequence[Tensor], frames: Sequence[int]) -> list[Tensor]:
        """Return how likely each pitch is, [frames, PITCHES] float32 of each row, of any lengths.

        A GPU takes as long for many rows as for one: it waits for each frame.
        """
        behind = 1 - self._inside([len(row) for row in heard])
        through = self._recurrence(pad_sequence(list(heard), batch_first=True), behind)
        kept = torch.cat([row[:count] for row, count in zip(through, frames, strict=True)])
        found = linear(kept, self._weights.head_weight, self._weights.head_bias).sigmoid()
        return list(found.float().split(list(frames)))

    def _inside(self, lengths: Sequence[int]) -> Tensor:
        """Return what is 1 within a row and 0 behind it, [rows, frames]."""
        ends = uploaded(lengths, self._device)[:, None]
        return (torch.arange(max(lengths), device=self._device) < ends).to(self._dtype)

    def _masks(self, inside: Tensor | None) -> list[Tensor | None]:
        """Return for each level what is 1 within a row and 0 behind it, [rows, 1, frames, 1]."""
        levels = len(self._weights.down) + 1
        if inside is None:
            return [None] * levels
        mask = inside[:, None, :, None]
        return [mask[:, :, :: 1 << level] for level in range(levels)]

    def _unet(self, x: Tensor, masks: list[Tensor | None]) -> Tensor:
        weights = self._weights
        x = _masked(x * weights.scale + weights.shift, masks[0])
        x = x.contiguous(memory_format=torch.channels_last)
        passed = []
        for blocks, mask in zip(weights.down, masks[:-1], strict=True):
            x = _through(x, blocks, mask)
            passed.append(x)
            x = avg_pool2d(x, 2)
        x = _through(x, weights.bottom, masks[-1])
        for rise, mask in zip(weights.up, reversed(masks[:-1]), strict=True):
            x = _risen(x, passed.pop(), rise, mask)
        return _convolved(x, weights.last)


def _through(x: Tensor, blocks: Sequence[Block], mask: Tensor | None) -> Tensor:
    for block in blocks:
        inner = _masked(_convolved(x, block.first).relu_(), mask)
        inner = _convolved(inner, block.second).relu_()
        x = _masked(inner.add_(_convolved(x, block.shortcut) if block.shortcut else x), mask)
    return x


def _risen(x: Tensor, passed: Tensor, rise: Rise, mask: Tensor | None) -> Tensor:
    weight, bias = rise.upsampling.weight, rise.upsampling.bias
    x = conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1).relu_()
    return _through(torch.cat([_masked(x, mask), passed], dim=1), rise.blocks, mask)


def _convolved(x: Tensor, by: Convolution) -> Tensor:
    return conv2d(x, by.weight, by.bias, padding=by.weight.shape[-1] // 2)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.mul_(mask)
