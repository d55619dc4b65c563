"""Attention of one new token per row over what that row has in the cache, and no more.

Every way below writes the new key and value into the cache, then attends to all positions up
to and with them. Shapes are the same for all: `qkv` [rows, 3 D]; `keys` and `values`
[at least rows, heads, positions, head_dim]; `positions` [rows], where the new token goes;
the result is [rows, D].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .prompt import Span

#: (qkv, keys, values, positions) -> mixed values.
Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

#: (qkv [tokens, 3 D], keys, values) -> mixed values [tokens, D], for tokens of prompts that are
#: in the cache already.
AttendPrompts = Callable[[Tensor, Tensor, Tensor], Tensor]


def attend_live(qkv: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Read each row's live positions, row by row: for the CPU.

    A row is computed in shapes that depend on its own length alone, so its bits do not depend
    on its neighbours. It looks at `positions` on the host, so no graph can hold it.
    """
    queries = _write(qkv, keys, values, positions)
    mixed = torch.empty_like(queries)
    for row, position in enumerate(positions.tolist()):
        mixed[row] = scaled_dot_product_attention(
            queries[row], keys[row, :, : position + 1], values[row, :, : position + 1]
        )
    return mixed.flatten(1)


def attend_within(window: int) -> Attend:
    """Return a way that reads `window` positions of every row: for GPUs without Triton.

    All `positions` must be below `window`. A row's bits depend on its length and the window,
    in fixed shapes, so that a graph can hold it.
    """

    def attend(qkv: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        queries = _write(qkv, keys, values, positions)
        rows = qkv.shape[0]
        live = torch.arange(window, device=qkv.device) <= positions[:, None]
        mixed = scaled_dot_product_attention(
            queries,
            keys[:rows, :, :window],
            values[:rows, :, :window],
            attn_mask=live[:, None, None],
        )
        return mixed.flatten(1)

    return attend


def attend_spans(spans: Sequence[Span]) -> AttendPrompts:
    """Return a way for prompts in these places: one after the other, each in its own shape."""

    def attend(qkv: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        heads, head_dim = keys.shape[1], keys.shape[3]
        mixed = qkv.new_zeros(len(qkv), heads * head_dim)
        for span in spans:
            own = slice(span.start, span.start + span.length)
            end = span.position + span.length
            queries = qkv[own, : heads * head_dim].view(span.length, heads, head_dim)
            places = torch.arange(end, device=qkv.device)
            found = scaled_dot_product_attention(
                queries.transpose(0, 1)[None],
                keys[span.slot, None, :, :end],
                values[span.slot, None, :, :end],
                attn_mask=places[None] <= places[span.position :, None],
            )
            mixed[own] = found[0].transpose(0, 1).flatten(1)
        return mixed

    return attend


def _write(qkv: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Put the new keys and values in their places; return the queries [rows, heads, 1, dim]."""
    heads, head_dim = keys.shape[1], keys.shape[3]
    query, key, value = qkv.view(-1, 3, heads, head_dim).unbind(1)
    rows = torch.arange(qkv.shape[0], device=qkv.device)
    keys[rows, :, positions] = key
    values[rows, :, positions] = value
    return query.unsqueeze(2)


def kernel_error(
    device: torch.device, dtype: torch.dtype, *, rows: int = 33, heads: int = 16
) -> float:
    """Return how far the Triton kernel is from float64 arithmetic on the same inputs.

    The greatest difference over outputs of scale one, over rows of all lengths; infinite if
    the cache was not written exactly. About 1e-6 is right in float32, 1e-3 in half precision.
    """
    from .kernels import attend

    capacity, head_dim = 1040, 64
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device).to(dtype)

    qkv = normal(rows, 3 * heads * head_dim)
    keys, values = (normal(rows + 1, heads, capacity, head_dim) for _ in range(2))
    # Powers of two and their neighbours, where a block ends, lie among these.
    lengths = torch.linspace(0, capacity - 1, rows).long()
    lengths[: min(rows, 8)] = torch.tensor([0, 1, 63, 64, 65, 127, 128, 129])[:rows]
    positions = lengths.to(device)
    wide_keys, wide_values = keys.double(), values.double()
    expected = attend_within(capacity)(qkv.double(), wide_keys, wide_values, positions)
    found = attend(qkv, keys, values, positions)
    if not (torch.equal(keys.double(), wide_keys) and torch.equal(values.double(), wide_values)):
        return float("inf")
    return float((found.double() - expected).abs().max())
