# mypy: ignore-errors
# The bodies below are not Python: Triton reads their source and compiles it for the GPU.
"""Triton kernels of one decode step, imported only where there is a GPU that runs them.

In both kernels a row's sums depend on that row alone: on its own length, in a fixed order.
So a row gives the same bits whoever its neighbours are, and whatever its slot is.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from .prompt import PROMPT_BLOCK

#: Positions that one program reads at a time: 8 KiB of keys at a width of 64 in half precision;
#: and how many such blocks are on their way at once. With both, 256 rows of mixed length read
#: 3.9 TB/s, 91 % of what a copy reaches; with one block on its way 2.4 (measured on an H200).
_BLOCK: Final = 64
_STAGES: Final = 3

#: So few rows leave most of a GPU idle, and what counts is how often a program waits: they read
#: more at a time.
_FEW_ROWS: Final = 4
_FEW_BLOCK: Final = 256

#: Below every score, and finite, so that differences of it with itself are no NaN.
_LOWEST: Final = -1.0e30


@triton.jit
def _attend(
    qkv_ptr,
    k_ptr,
    v_ptr,
    positions_ptr,
    out_ptr,
    scale,
    slot_stride,
    head_stride,
    HEADS: tl.constexpr,  # noqa: N803
    HEAD_DIM: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    STAGES: tl.constexpr,  # noqa: N803
    LOWEST: tl.constexpr,  # noqa: N803
):
    """One head of one row. Every lane of the block keeps its own running softmax.

    The lanes meet once, after the loop: in it nothing waits for another lane, so that the
    reads of the next block overlap the arithmetic of this one.
    """
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    position = tl.load(positions_ptr + row).to(tl.int32)
    dims = tl.arange(0, HEAD_DIM)
    width = HEADS * HEAD_DIM
    out = out_ptr + row * width + head * HEAD_DIM + dims
    if position == 0:
        # An idle row, as every prompt is longer: most of a batch may be that.
        tl.store(out, tl.zeros([HEAD_DIM], out_ptr.dtype.element_ty))
        return
    token = qkv_ptr + row * 3 * width + head * HEAD_DIM + dims
    query = tl.load(token).to(tl.float32) * scale
    new_key = tl.load(token + width)
    new_value = tl.load(token + 2 * width)
    past = row * slot_stride + head * head_stride + dims
    tl.store(k_ptr + past + position * HEAD_DIM, new_key)
    tl.store(v_ptr + past + position * HEAD_DIM, new_value)

    lanes = tl.arange(0, BLOCK)
    highest = tl.full([BLOCK], LOWEST, tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    mixed = tl.zeros([BLOCK, HEAD_DIM], tl.float32)
    # The new token is read from its registers: another thread's store may not be visible yet.
    for start in tl.range(0, position, BLOCK, num_stages=STAGES):
        live = start + lanes < position
        places = past[None, :] + (start + lanes)[:, None] * HEAD_DIM
        keys = tl.load(k_ptr + places, mask=live[:, None], other=0.0)
        values = tl.load(v_ptr + places, mask=live[:, None], other=0.0)
        scores = tl.sum(keys.to(tl.float32) * query[None, :], axis=1)
        scores = tl.where(live, scores, float("-inf"))
        higher = tl.maximum(highest, scores)
        shrink = tl.exp(highest - higher)
        weights = tl.exp(scores - higher)
        total = total * shrink + weights
        mixed = mixed * shrink[:, None] + weights[:, None] * values.to(tl.float32)
        highest = higher

    new_score = tl.sum(query * new_key.to(tl.float32), axis=0)
    top = tl.maximum(tl.max(highest, axis=0), new_score)
    lane_weights = tl.exp(highest - top)
    new_weight = tl.exp(new_score - top)
    divisor = tl.sum(total * lane_weights, axis=0) + new_weight
    summed = tl.sum(mixed * lane_weights[:, None], axis=0) + new_weight * new_value.to(tl.float32)
    tl.store(out, (summed / divisor).to(out_ptr.dtype.element_ty))


def attend(qkv: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Do what `attention.attend_live` does. `qkv` [rows, 3 D], `positions` [rows]; gives [rows, D].

    `keys` and `values` are [at least rows, heads, positions, head_dim] and contiguous;
    `head_dim` is a power of two.
    """
    rows, heads, head_dim = qkv.shape[0], keys.shape[1], keys.shape[3]
    out = qkv.new_empty(rows, heads * head_dim)
    is_few = rows <= _FEW_ROWS
    _attend[(rows, heads)](
        qkv,
        keys,
        values,
        positions,
        out,
        head_dim**-0.5,
        keys.stride(0),
        keys.stride(1),
        HEADS=heads,
        HEAD_DIM=head_dim,
        BLOCK=_FEW_BLOCK if is_few else _BLOCK,
        STAGES=1 if is_few else _STAGES,
        LOWEST=_LOWEST,
        num_warps=8 if is_few else 4,
    )
    return out


@triton.jit
def _attend_prompts(
    qkv_ptr,
    k_ptr,
    v_ptr,
    slots_ptr,
    positions_ptr,
    out_ptr,
    scale,
    slot_stride,
    head_stride,
    HEADS: tl.constexpr,  # noqa: N803
    HEAD_DIM: tl.constexpr,  # noqa: N803
    TOKENS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
    LOWEST: tl.constexpr,  # noqa: N803
):
    """One head of `TOKENS` tokens of one prompt, over all that its slot has up to each of them."""
    first = tl.program_id(0) * TOKENS
    head = tl.program_id(1)
    slot = tl.load(slots_ptr + first).to(tl.int64)
    tokens = first + tl.arange(0, TOKENS)
    dims = tl.arange(0, HEAD_DIM)
    lanes = tl.arange(0, BLOCK)
    position = tl.load(positions_ptr + first).to(tl.int32)
    positions = position + tl.arange(0, TOKENS)
    width = HEADS * HEAD_DIM
    query = tl.load(qkv_ptr + tokens[:, None] * 3 * width + head * HEAD_DIM + dims[None, :])
    past = slot * slot_stride + head * head_stride
    highest = tl.full([TOKENS], LOWEST, tl.float32)
    total = tl.zeros([TOKENS], tl.float32)
    mixed = tl.zeros([TOKENS, HEAD_DIM], tl.float32)
    for start in range(0, position + TOKENS, BLOCK):
        places = start + lanes
        within = (places < position + TOKENS)[:, None]
        keys = tl.load(
            k_ptr + past + places[:, None] * HEAD_DIM + dims[None, :], mask=within, other=0.0
        )
        scores = tl.dot(query, tl.trans(keys), input_precision=PRECISION) * scale
        scores = tl.where(places[None, :] <= positions[:, None], scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, axis=1))
        shrink = tl.exp(highest - higher)
        weights = tl.exp(scores - higher[:, None])
        total = total * shrink + tl.sum(weights, axis=1)
        values = tl.load(
            v_ptr + past + places[:, None] * HEAD_DIM + dims[None, :], mask=within, other=0.0
        )
        mixed = mixed * shrink[:, None]
        mixed += tl.dot(weights.to(values.dtype), values, input_precision=PRECISION)
        highest = higher
    out = out_ptr + tokens[:, None] * width + head * HEAD_DIM + dims[None, :]
    tl.store(out, (mixed / total[:, None]).to(out_ptr.dtype.element_ty))


def attend_prompts(
    qkv: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor
) -> Tensor:
    """Let each token of packed prompts see all of its slot up to itself; gives [tokens, D].

    `qkv` is [tokens, 3 D], `slots` and `positions` are [tokens]; keys and values are in the cache
    already. Every `PROMPT_BLOCK` tokens belong to one slot and have consecutive positions.
    """
    tokens, heads, head_dim = qkv.shape[0], keys.shape[1], keys.shape[3]
    out = qkv.new_empty(tokens, heads * head_dim)
    _attend_prompts[(tokens // PROMPT_BLOCK, heads)](
        qkv,
        keys,
        values,
        slots,
        positions,
        out,
        head_dim**-0.5,
        keys.stride(0),
        keys.stride(1),
        HEADS=heads,
        HEAD_DIM=head_dim,
        TOKENS=PROMPT_BLOCK,
        BLOCK=_BLOCK,
        # Tensor cores would round float32 to ten bits.
        PRECISION="ieee" if qkv.dtype == torch.float32 else "tf32",
        LOWEST=_LOWEST,
        num_warps=4,
    )
    return out


@triton.jit
def _add_norm(
    residual_ptr,
    update_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    width,
    eps,
    HAS_UPDATE: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """One row: residual += update; out = layer_norm(residual)."""
    start = tl.program_id(0).to(tl.int64) * width
    columns = tl.arange(0, BLOCK)
    live = columns < width
    x = tl.load(residual_ptr + start + columns, mask=live, other=0.0)
    if HAS_UPDATE:
        x += tl.load(update_ptr + start + columns, mask=live, other=0.0).to(tl.float32)
        tl.store(residual_ptr + start + columns, x, mask=live)
    centred = tl.where(live, x - tl.sum(x, axis=0) / width, 0.0)
    variance = tl.sum(centred * centred, axis=0) / width
    weight = tl.load(weight_ptr + columns, mask=live, other=0.0)
    bias = tl.load(bias_ptr + columns, mask=live, other=0.0)
    normed = centred * tl.rsqrt(variance + eps) * weight + bias
    tl.store(out_ptr + start + columns, normed.to(out_ptr.dtype.element_ty), mask=live)


def add_norm(
    residual: Tensor,
    update: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype,
) -> Tensor:
    """Do what `transformer.add_norm` does, in one pass. `residual` [rows, D] float32, in place."""
    rows, width = residual.shape
    out = residual.new_empty(rows, width, dtype=dtype)
    _add_norm[(rows,)](
        residual,
        residual if update is None else update,
        weight,
        bias,
        out,
        width,
        eps,
        HAS_UPDATE=update is not None,
        BLOCK=triton.next_power_of_2(width),
        num_warps=4,
    )
    return out
