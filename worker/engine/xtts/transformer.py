"""The GPT's layers over a slot cache: whole prompts at once, and one token of every row.

The residual stream and the norms are float32; the linear maps run in the dtype of their
weights. The cache is [layers, 2 (keys, values), slots, heads, positions, head_dim].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from .attention import Attend, AttendPrompts
from .weights import GptWeights, LayerWeights

#: Of every layer norm in the GPT.
NORM_EPS: Final = 1e-5

#: (residual, update, weight, bias, eps, dtype) -> the normed residual after the update.
AddNorm = Callable[[Tensor, Tensor | None, Tensor, Tensor, float, torch.dtype], Tensor]


def add_norm(
    residual: Tensor,
    update: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype,
) -> Tensor:
    """Add `update` to `residual` in place, if there is one; return its layer norm as `dtype`."""
    if update is not None:
        residual += update
    return layer_norm(residual, residual.shape[-1:], weight, bias, eps).to(dtype)


def decode(
    weights: GptWeights,
    cache: Tensor,
    x: Tensor,
    positions: Tensor,
    attend: Attend,
    add_norm: AddNorm = add_norm,
) -> Tensor:
    """Run one token of each of the first rows: `x` [rows, D] float32 -> latents [rows, D] float32.

    `positions` [rows] is where each token goes in the cache. `x` is used up. The latents have
    passed both last norms: they are what the audio head and the vocoder read.
    """
    dtype, update = weights.dtype, None
    for layer, (keys, values) in zip(weights.layers, cache, strict=True):
        normed = add_norm(x, update, layer.ln1_weight, layer.ln1_bias, NORM_EPS, dtype)
        qkv = linear(normed, layer.qkv_weight, layer.qkv_bias)
        update = linear(attend(qkv, keys, values, positions), layer.proj_weight, layer.proj_bias)
        normed = add_norm(x, update, layer.ln2_weight, layer.ln2_bias, NORM_EPS, dtype)
        update = _feed_forward(layer, normed)
    exact = torch.float32
    x = add_norm(x, update, weights.ln_f_weight, weights.ln_f_bias, NORM_EPS, exact)
    return add_norm(x, None, weights.final_norm_weight, weights.final_norm_bias, NORM_EPS, exact)


def prefill(
    weights: GptWeights,
    cache: Tensor,
    x: Tensor,
    slots: Tensor,
    positions: Tensor,
    attend: AttendPrompts,
    add_norm: AddNorm = add_norm,
) -> None:
    """Fill the cache with the keys and values of tokens `x` [tokens, D] float32.

    Token `i` goes to slot `slots[i]`, position `positions[i]`. `x` is used up.
    """
    dtype, update = weights.dtype, None
    last = weights.layers[-1]
    for layer, (keys, values) in zip(weights.layers, cache, strict=True):
        normed = add_norm(x, update, layer.ln1_weight, layer.ln1_bias, NORM_EPS, dtype)
        qkv = linear(normed, layer.qkv_weight, layer.qkv_bias)
        _, key, value = qkv.view(len(x), 3, weights.heads, -1).unbind(1)
        keys[slots, :, positions] = key
        values[slots, :, positions] = value
        if layer is last:
            return  # Nobody reads what the last layer makes of a prompt.
        mixed = attend(qkv, keys, values)
        update = linear(mixed, layer.proj_weight, layer.proj_bias)
        normed = add_norm(x, update, layer.ln2_weight, layer.ln2_bias, NORM_EPS, dtype)
        update = _feed_forward(layer, normed)


def _feed_forward(layer: LayerWeights, normed: Tensor) -> Tensor:
    hidden = gelu(linear(normed, layer.fc_weight, layer.fc_bias), approximate="tanh")
    return linear(hidden, layer.fc_proj_weight, layer.fc_proj_bias)
