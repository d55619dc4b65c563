"""RMVPE's network: how likely each pitch is in each frame of a log-mel spectrogram.

A U-Net over time and bands, and a recurrence over time. Recordings of different lengths share a
line of the U-Net, exactly (see `packed_line`): between them everything is kept at zero. They are
rows of the recurrence, which turns round where each of them ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, linear

from ..transfers import uploaded
from .packed_line import Line
from .recurrence import Recurrence
from .rmvpe_file import Block, Convolution, Rise, RmvpeWeights


class Rmvpe:
    """The network on one device. Calls share nothing."""

    def __init__(self, weights: RmvpeWeights) -> None:
        self._weights = weights
        self._device = weights.head_weight.device
        self._dtype = weights.head_weight.dtype
        self._recurrence = Recurrence(weights.recurrence)

    @property
    def unit(self) -> int:
        """Frames that become one at the deepest level: what pieces of a line are multiples of."""
        return self._weights.alignment

    @torch.inference_mode()
    def heard(self, spectrogram: Tensor, line: Line) -> list[Tensor]:
        """Return what the recurrence is to read of each piece of a spectrogram [BANDS, width].

        As upstream does it, a piece is filled up to a multiple of the unit with zeros; what lies
        behind that has no part in it. A piece becomes [aligned frames, channels bands].
        """
        inside = None
        if not line.is_full:
            inside = uploaded(line.inside(), self._device).to(self._dtype)
        batch = spectrogram.to(self._dtype).mT[None, None]
        hidden = self._unet(batch, self._masks(inside))
        # [1, channels, frames, bands] -> [frames, channels bands]
        found = hidden[0].transpose(0, 1).flatten(1)
        return [found[span] for span in line.spans]

    @torch.inference_mode()
    def salience(self, heard: Sequence[Tensor], frames: Sequence[int]) -> list[Tensor]:
        """Return how likely each pitch is, [frames, PITCHES] float32 of each piece, of any lengths.

        A GPU takes as long for many pieces as for one: it goes from frame to frame.
        """
        through = self._recurrence(torch.cat(list(heard)), [len(row) for row in heard])
        rows = through.split([len(row) for row in heard])
        kept = torch.cat([row[:count] for row, count in zip(rows, frames, strict=True)])
        found = linear(kept, self._weights.head_weight, self._weights.head_bias).sigmoid()
        return list(found.float().split(list(frames)))

    def _masks(self, inside: Tensor | None) -> list[Tensor | None]:
        """Return for each level what is 1 within a piece and 0 between them, [frames, 1]."""
        levels = len(self._weights.down) + 1
        if inside is None:
            return [None] * levels
        return [inside[:: 1 << level, None] for level in range(levels)]

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
