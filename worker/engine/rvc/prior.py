"""The prior: from features and coarse pitch to the mean and spread of the latents.

A transformer whose attention tells apart how far away a frame is, up to ten frames. The tables of
that are added along the band around the diagonal, through a view of the scores in which the band
is a rectangle; nothing of the size of all distances is ever built.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, leaky_relu_, linear, pad, relu_

from .convolution import convolve_any
from .voice_config import ATTENTION_WINDOW
from .weights import Affine, Prior, PriorLayer

_SLOPE: Final = 0.1
_EPSILON: Final = 1e-5

#: Rows of scores are a multiple of this, as matrix products in half precision want it.
_ALIGNED: Final = 8


def latent_statistics(
    weights: Prior, heads: int, features: Tensor, coarse: Tensor | None, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean and logarithm of the spread of the latents, each [rows, frames, inter].

    `features` [rows, frames, 256 or 768]; `coarse` [rows, frames] int64, None for a voice without
    pitch; `mask` [rows, frames] is 1 where a row has a frame, 0 behind its end. What lies behind
    the end of a row does not change the row.
    """
    x = linear(features, weights.features.weight, weights.features.bias)
    if weights.pitch is not None and coarse is not None:
        x = x + weights.pitch[coarse]
    shown = mask[:, :, None].to(x.dtype)
    x = leaky_relu_(x * math.sqrt(x.shape[-1]), _SLOPE) * shown
    hidden = _hidden_columns(mask, x.dtype)
    for layer in weights.layers:
        x = _norm(x + _attend(layer, heads, x, hidden), layer.norm_1)
        x = _norm(x + _forward(layer, x, shown), layer.norm_2)
    x = linear(x, weights.mean_and_spread.weight, weights.mean_and_spread.bias)
    mean, log_spread = x.chunk(2, dim=-1)
    return mean, log_spread


def _attend(layer: PriorLayer, heads: int, x: Tensor, hidden: Tensor) -> Tensor:
    rows, frames, width = x.shape
    qkv = linear(x, layer.qkv.weight, layer.qkv.bias)
    # [3, rows, heads, frames, head_dim]
    query, key, value = qkv.view(rows, frames, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    columns = hidden.shape[-1]
    room = (0, 0, ATTENTION_WINDOW, columns - frames - ATTENTION_WINDOW)
    scores = query @ pad(key, room).transpose(-1, -2)  # [rows, heads, frames, columns]
    _band(scores).add_(query @ layer.relative_keys.T)
    chances = scores.add_(hidden).softmax(-1)
    heard = chances @ pad(value, room) + _band(chances) @ layer.relative_values
    heard = heard.transpose(1, 2).reshape(rows, frames, width)
    return linear(heard, layer.output.weight, layer.output.bias)


def _forward(layer: PriorLayer, x: Tensor, shown: Tensor) -> Tensor:
    x = relu_(convolve_any(x * shown, layer.widen))
    return convolve_any(x.mul_(shown), layer.narrow)


def _norm(x: Tensor, by: Affine) -> Tensor:
    return layer_norm(x, by.weight.shape, by.weight, by.bias, _EPSILON)


def _hidden_columns(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what hides columns of scores, [rows, 1, 1, columns]: 0, or minus infinity.

    There is a column for each frame, as many as the window has before them, and at least as many
    behind them.
    """
    frames = mask.shape[1]
    columns = math.ceil((frames + 2 * ATTENTION_WINDOW) / _ALIGNED) * _ALIGNED
    room = (ATTENTION_WINDOW, columns - frames - ATTENTION_WINDOW)
    hidden = torch.zeros_like(mask, dtype=dtype).masked_fill_(mask == 0, float("-inf"))
    return pad(hidden, room, value=float("-inf"))[:, None, None]


def _band(scores: Tensor) -> Tensor:
    """Return the view of scores around the diagonal, [rows, heads, frames, 2 * window + 1]."""
    rows, heads, frames, columns = scores.shape
    return scores.as_strided(
        (rows, heads, frames, 2 * ATTENTION_WINDOW + 1),
        (heads * frames * columns, frames * columns, columns + 1, 1),
    )
