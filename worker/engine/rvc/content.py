"""What is said, without who says it: HuBERT's features of many recordings at once.

The network is that of fairseq, and equal to it within rounding. Recordings of any lengths share
a batch, exactly: the one norm that looks along time is given each recording's own statistics,
and nothing else sees what lies behind a recording's end.

The front end is computed as matrices of [time, channels]. Its convolutions have a stride of two,
so that two neighbouring frames lie in memory as one row: no copies, and no kernel but that of a
matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import (
    conv1d,
    gelu,
    layer_norm,
    linear,
    pad,
    scaled_dot_product_attention,
)

from ..transfers import uploaded
from .content_weights import FIRST_TAPS, KERNELS, ContentLayer, ContentWeights
from .grouped_product import GroupedProduct
from .voice_config import Version

#: Voices of v1 want this layer through the final projection, voices of v2 the last layer.
V1_LAYER: Final = 9

#: Stride of the first convolution, and of all of them together: one frame of 20 ms at 16 kHz.
_FIRST_STRIDE: Final = 5
HOP: Final = 320

#: Samples that one frame sees: 25 ms.
FIELD: Final = 400

#: Frames of the first convolution that become one of the last.
_HALVINGS: Final = HOP // _FIRST_STRIDE

#: Batches are this many frames long, or twice, ...: 0.64 s.
_ALIGNED: Final = 32

#: All but cuDNN's, which is prepared anew for every number of rows and frames.
_ATTENTION: Final = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]

#: As in the published model.
_EPSILON: Final = 1e-5

#: Below this level a recording is not made louder before half precision: -100 dB.
_QUIETEST: Final = 1e-5


def frames_of(samples: int) -> int:
    """Return the frames of a recording at 16 kHz; none if it is shorter than 25 ms."""
    return max(0, (samples - FIELD) // HOP + 1)


class Content:
    """The encoder on one device. Calls share nothing; no call waits for the device."""

    def __init__(self, weights: ContentWeights) -> None:
        self._weights = weights
        self._device = weights.norm_weight.device
        self._dtype = weights.norm_weight.dtype
        self._product: GroupedProduct | None = None
        if self._device.type == "cuda":
            self._product = GroupedProduct(weights.position_weight, weights.position_bias)

    def width(self, version: Version) -> int:
        """Return the width of the features of a version: 256 or 768."""
        return self._weights.final_width if version == "v1" else self._weights.width

    @torch.inference_mode()
    def features(self, waves: Sequence[Tensor], versions: Sequence[Version]) -> list[Tensor]:
        """Return the features [frames, width] of each wave [samples] at 16 kHz, in its version.

        They are float32, every 20 ms. Every wave needs 400 samples. All of them are computed
        as one batch as long as the longest: put together what is about equally long.
        """
        rows = torch.tensor([len(wave) for wave in waves])
        frames = [frames_of(len(wave)) for wave in waves]
        if min(frames) < 1:
            raise ValueError(f"a wave has {int(rows.min())} samples, and {FIELD} are needed")
        x, mask = self._embedded(self._front(waves, rows), frames)
        depth = len(self._weights.layers) if "v2" in versions else V1_LAYER
        ninth = x
        with sdpa_kernel(_ATTENTION):
            for index, layer in enumerate(self._weights.layers[:depth], start=1):
                x = self._layer(x, layer, mask)
                if index <= V1_LAYER:
                    ninth = x
        final = self._final(ninth) if "v1" in versions else x
        by_version = {name: (final if name == "v1" else x).float() for name in set(versions)}
        return [
            by_version[version][row, :count]
            for row, (version, count) in enumerate(zip(versions, frames, strict=True))
        ]

    def _front(self, waves: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """Return [rows, frames, C]; what is not a wave's own frame is of no meaning."""
        valid = (lengths - KERNELS[0]) // _FIRST_STRIDE + 1
        unit = _HALVINGS * _ALIGNED
        count = -(-int(valid.max()) // unit) * unit
        batch = torch.zeros(
            len(waves), _FIRST_STRIDE * (count - 1) + FIRST_TAPS, device=self._device
        )
        for row, wave in zip(batch, waves, strict=True):
            row[: len(wave)] = wave
        # [rows, count, FIRST_TAPS]
        x = self._first(
            batch.unfold(1, FIRST_TAPS, _FIRST_STRIDE), uploaded(valid.numpy(), self._device)
        )
        for taps, weight in zip(KERNELS[1:], self._weights.convolutions, strict=True):
            x = gelu(_halved(x, weight, taps))
        return x

    def _first(self, windows: Tensor, valid: Tensor) -> Tensor:
        """Convolve, normalise over each row's `valid` [rows] windows, activate.

        Mean and variance of what comes out follow from the second moments of what goes in, so
        that the norm is part of the weights, and the largest tensor of all is written once.
        """
        weights = self._weights
        first = weights.first.double()
        inside = torch.arange(windows.shape[1], device=self._device) < valid[:, None]
        seen = windows.double() * inside[:, :, None]
        moments = seen.mT @ seen / valid[:, None, None]
        mean = seen.sum(1) @ first / valid[:, None]
        power = ((moments @ first) * first).sum(1)
        spread = (power - mean.square()).clamp_min(0).add(_EPSILON).rsqrt()
        scale = weights.first_norm_weight * spread  # [rows, C]
        shift = weights.first_norm_bias - mean * scale
        # Of about one, quiet recordings keep their digits in half precision.
        level = moments[:, :1, :1].sqrt().clamp_min(_QUIETEST)
        by = (first * scale[:, None] * level).to(self._dtype)
        scaled = (windows / level.float()).to(self._dtype)
        return gelu(torch.baddbmm(shift[:, None].to(self._dtype), scaled, by))

    def _embedded(self, x: Tensor, frames: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Return what enters the layers [rows, frames, D], and what hides frames from attention."""
        weights = self._weights
        x = x[:, : max(frames)]
        x = layer_norm(
            x, x.shape[-1:], weights.features_norm_weight, weights.features_norm_bias, _EPSILON
        )
        x = linear(x, weights.features_weight, weights.features_bias)
        mask = None
        if min(frames) < x.shape[1]:
            counts = uploaded(frames, self._device)
            inside = torch.arange(x.shape[1], device=self._device) < counts[:, None]
            x = x * inside[:, :, None]
            shown = torch.zeros(inside.shape, dtype=self._dtype, device=self._device)
            mask = shown.masked_fill_(~inside, float("-inf"))[:, None, None]
        x = x + gelu(self._positions(x))
        return layer_norm(x, x.shape[-1:], weights.norm_weight, weights.norm_bias, _EPSILON), mask

    def _positions(self, x: Tensor) -> Tensor:
        """Convolve [rows, frames, D] over time, to as many frames."""
        if self._product is not None:
            return self._product(x)
        weight = self._weights.position_weight
        kernel = weight.shape[2]
        groups = weight.shape[0] // weight.shape[1]
        before = kernel // 2
        frames = x.shape[1]
        # Of few lengths: what a library prepares for each of them it keeps.
        padded = pad(x.mT, (before, kernel - 1 - before + -frames % _ALIGNED))
        found = conv1d(padded, weight, self._weights.position_bias, groups=groups)
        return found[..., :frames].mT

    def _layer(self, x: Tensor, layer: ContentLayer, mask: Tensor | None) -> Tensor:
        rows, frames, width = x.shape
        heads = self._weights.heads
        qkv = linear(x, layer.qkv_weight, layer.qkv_bias)
        # Each [rows, heads, frames, head_dim]
        q, k, v = qkv.view(rows, frames, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v, mask)
        mixed = mixed.transpose(1, 2).reshape(rows, frames, width)
        x = x + linear(mixed, layer.proj_weight, layer.proj_bias)
        x = layer_norm(x, (width,), layer.ln1_weight, layer.ln1_bias, _EPSILON)
        inner = gelu(linear(x, layer.into_weight, layer.into_bias))
        x = x + linear(inner, layer.out_weight, layer.out_bias)
        return layer_norm(x, (width,), layer.ln2_weight, layer.ln2_bias, _EPSILON)

    def _final(self, x: Tensor) -> Tensor:
        return linear(x, self._weights.final_weight, self._weights.final_bias)


def _halved(x: Tensor, weight: Tensor, taps: int) -> Tensor:
    """Convolve [rows, frames, C] with a stride of two; two or three taps, [taps C, C'].

    Frames are half as many. The last one of a row would see the next row, if it saw anything
    of its own: it is of no meaning.
    """
    rows, frames, channels = x.shape
    pairs = x.view(-1, 2 * channels)
    out = pairs @ weight[: 2 * channels]
    if taps == 3:
        out[:-1].addmm_(pairs[1:, :channels], weight[2 * channels :])
    return out.view(rows, frames // 2, -1)
