# mypy: ignore-errors
# The body of the kernel is not Python: Triton reads its source and compiles it for the GPU.
"""One decode step of one or two rows, for GPUs: what counts is how often the GPU waits.

A matrix of a layer is read once and multiplied with a row or two. That is bound by memory, and a
library's kernels for large products spend most of such a step on starting and ending. Here
each is one kernel, with the norm before it and the activation or the sum after it.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import kernels
from .attention import Attend
from .transformer import NORM_EPS
from .weights import GptWeights

#: The most rows that are done so. On an H200 all four products of a layer are faster with 1 and 2
#: rows; with 4 two of them are slower than a library's.
MOST_ROWS: Final = 2

#: Outputs and inputs that a program has at a time, and its warps, chosen of 40 timed on an H200.
_NORMED: Final = (16, 256, 4)
_ADDED: Final = (4, 1024, 4)
_ADDED_WIDE: Final = (2, 2048, 4)


@triton.jit
def _multiply(
    x_ptr,
    weight_ptr,
    bias_ptr,
    norm_weight_ptr,
    norm_bias_ptr,
    residual_ptr,
    out_ptr,
    outputs,
    eps,
    INPUTS: tl.constexpr,  # noqa: N803
    BLOCK_OUT: tl.constexpr,  # noqa: N803
    BLOCK_IN: tl.constexpr,  # noqa: N803
    GELU: tl.constexpr,  # noqa: N803
):
    """Some outputs of one row. Pointers that are None are compiled away."""
    row = tl.program_id(1)
    places = tl.program_id(0) * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    x_ptr += row * INPUTS
    if norm_weight_ptr is not None:
        whole = tl.load(x_ptr + tl.arange(0, INPUTS)).to(tl.float32)
        mean = tl.sum(whole, axis=0) / INPUTS
        scale = tl.rsqrt(tl.sum((whole - mean) * (whole - mean), axis=0) / INPUTS + eps)
    total = tl.zeros([BLOCK_OUT, BLOCK_IN], tl.float32)
    for start in tl.static_range(0, INPUTS, BLOCK_IN):
        inputs = start + tl.arange(0, BLOCK_IN)
        weight = tl.load(weight_ptr + places[:, None] * INPUTS + inputs[None, :])
        x = tl.load(x_ptr + inputs).to(tl.float32)
        if norm_weight_ptr is not None:
            x = (x - mean) * scale * tl.load(norm_weight_ptr + inputs)
            x += tl.load(norm_bias_ptr + inputs)
        total += weight.to(tl.float32) * x[None, :]
    y = tl.sum(total, axis=1) + tl.load(bias_ptr + places).to(tl.float32)
    if GELU:
        # y (1 + tanh(u)) / 2, by way of tanh(u) = 2 sigmoid(2 u) - 1.
        y *= tl.sigmoid(1.5957691216057308 * (y + 0.044715 * y * y * y))
    if residual_ptr is not None:
        residual = residual_ptr + row * outputs + places
        tl.store(residual, tl.load(residual) + y)
    else:
        tl.store(out_ptr + row * outputs + places, y.to(out_ptr.dtype.element_ty))


def fits(weights: GptWeights) -> bool:
    """Tell whether the kernel's blocks divide this model: those of the published sizes do."""
    return weights.width % _ADDED[1] == 0 and weights.width & (weights.width - 1) == 0


def decode(
    weights: GptWeights, cache: Tensor, x: Tensor, positions: Tensor, attend: Attend
) -> Tensor:
    """Do what `transformer.decode` does."""
    for layer, (keys, values) in zip(weights.layers, cache, strict=True):
        norm = layer.ln1_weight, layer.ln1_bias
        qkv = _normed(x, norm, layer.qkv_weight, layer.qkv_bias)
        mixed = attend(qkv, keys, values, positions)
        _added(x, mixed, layer.proj_weight, layer.proj_bias)
        norm = layer.ln2_weight, layer.ln2_bias
        hidden = _normed(x, norm, layer.fc_weight, layer.fc_bias, gelu=True)
        _added(x, hidden, layer.fc_proj_weight, layer.fc_proj_bias)
    exact, ends = torch.float32, weights
    x = kernels.add_norm(x, None, ends.ln_f_weight, ends.ln_f_bias, NORM_EPS, exact)
    return kernels.add_norm(x, None, ends.final_norm_weight, ends.final_norm_bias, NORM_EPS, exact)


def _normed(
    x: Tensor, norm: tuple[Tensor, Tensor], weight: Tensor, bias: Tensor, *, gelu: bool = False
) -> Tensor:
    """Return `weight @ layer_norm(x) + bias` [rows, outputs] in the dtype of `weight`."""
    out = x.new_empty(len(x), len(weight), dtype=weight.dtype)
    _launch(_NORMED, x, weight, bias, norm, None, out, gelu)
    return out


def _added(residual: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> None:
    """Add `weight @ x + bias` to `residual` [rows, outputs] float32."""
    blocks = _ADDED if x.shape[1] < _ADDED_WIDE[1] else _ADDED_WIDE
    _launch(blocks, x, weight, bias, (None, None), residual, None, False)


def _launch(blocks, x, weight, bias, norm, residual, out, gelu) -> None:
    block_out, block_in, warps = blocks
    outputs, inputs = weight.shape
    _multiply[(outputs // block_out, len(x))](
        x,
        weight,
        bias,
        *norm,
        residual,
        out,
        outputs,
        NORM_EPS,
        INPUTS=inputs,
        BLOCK_OUT=block_out,
        BLOCK_IN=block_in,
        GELU=gelu,
        num_warps=warps,
    )
