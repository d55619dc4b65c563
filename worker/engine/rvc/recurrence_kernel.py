# mypy: ignore-errors
# The body of the kernel is not Python: Triton reads its source and compiles it for the GPU.
"""A gated recurrence both ways over time, over many rows at once, as one kernel.

A library launches four kernels for every frame and is bound by the host. Here several programs
share a row: each keeps the weights of some units, and all of them wait for one another at the end
of every frame, so that each reads what the others made of it. A row is by itself: it has the same
bits in every batch.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Units that a program computes, of rows that it computes at once, and with how many warps: the
#: fastest of six such timed on one NVIDIA H200, of RMVPE's 256 units.
_PART: Final = 32
_ROWS: Final = 16
_WARPS: Final = 4


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _three(cells, apart, live):
    """Load what belongs to resetting, keeping and what is new."""
    reset = tl.load(cells, mask=live, other=0.0)
    keep = tl.load(cells + apart, mask=live, other=0.0)
    return reset, keep, tl.load(cells + 2 * apart, mask=live, other=0.0)


@triton.jit
def _told(gates_ptr, place, live, units, HIDDEN: tl.constexpr):  # noqa: N803
    """Return what the input tells the three gates, each [rows, units] float32."""
    cells = gates_ptr + place[:, None] * (6 * HIDDEN) + units[None, :]
    reset, keep, new = _three(cells, HIDDEN, live[:, None])
    return reset.to(tl.float32), keep.to(tl.float32), new.to(tl.float32)


@triton.jit
def _stepped(state, before, told, weights, new_bias):
    """Return the state [rows, units] of the next frame; `before` [rows, HIDDEN] has all units."""
    reset, keep, new = told
    reset_weight, keep_weight, new_weight = weights
    reset = _sigmoid(reset + tl.dot(before, reset_weight))
    keep = _sigmoid(keep + tl.dot(before, keep_weight))
    new += reset * (tl.dot(before, new_weight) + new_bias)
    new = 2.0 * _sigmoid(2.0 * new) - 1.0
    return new + keep * (state - new)


@triton.jit(do_not_specialize=["rows"])
def _recur(
    gates_ptr, weight_ptr, bias_ptr, spans_ptr, out_ptr, arrived_ptr, rows,
    HIDDEN: tl.constexpr, PART: tl.constexpr, ROWS: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """Some units of some rows in one direction, from the first frame to the last."""
    PARTS: tl.constexpr = HIDDEN // PART  # noqa: N806
    part, direction, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    units, inputs = part * PART + tl.arange(0, PART), tl.arange(0, HIDDEN)
    row = block * ROWS + tl.arange(0, ROWS)
    begin = tl.load(spans_ptr + row, mask=row < rows, other=0)
    length = tl.load(spans_ptr + rows + row, mask=row < rows, other=0)
    arrived_ptr += block * 2 + direction
    gates_ptr += direction * 3 * HIDDEN
    out_ptr += direction * HIDDEN
    weight_ptr += (direction * HIDDEN + inputs[:, None]) * (3 * HIDDEN) + units[None, :]
    weights = _three(weight_ptr, HIDDEN, inputs[:, None] >= 0)
    new_bias = tl.load(bias_ptr + direction * HIDDEN + units).to(tl.float32)[None, :]
    state = tl.zeros([ROWS, PART], tl.float32)
    before = tl.zeros([ROWS, HIDDEN], out_ptr.dtype.element_ty)
    # Backwards a row begins at its own end.
    place, onward, live = begin + direction * (length - 1), 1 - 2 * direction, length > 0
    told = _told(gates_ptr, place, live, units, HIDDEN)
    step, longest = 0, tl.max(length, 0)
    while step < longest:
        state = _stepped(state, before, told, weights, new_bias)
        made = out_ptr + place[:, None] * (2 * HIDDEN)
        tl.store(made + units[None, :], state.to(before.dtype), mask=live[:, None])
        tl.debug_barrier()
        if PARTS > 1:
            tl.atomic_add(arrived_ptr, 1, sem="release")
        step += 1
        was_live, live = live, step < length
        place += onward
        # On its way while the programs wait for one another.
        told = _told(gates_ptr, place, live, units, HIDDEN)
        if PARTS > 1:
            while tl.atomic_add(arrived_ptr, 0, sem="acquire") < step * PARTS:
                pass
        made += inputs[None, :]
        before = tl.load(made, mask=was_live[:, None], other=0.0, cache_modifier=".cg")


def rows_at_once(hidden: int, device: torch.device) -> int:
    """Return how many rows `recur` takes: all programs must find room beside one another."""
    programs = torch.cuda.get_device_properties(device).multi_processor_count
    return programs // (2 * hidden // _PART) * _ROWS


def fits(x: Tensor, hidden: int) -> bool:
    """Tell whether the kernel is for such an input, on such a GPU."""
    return x.element_size() == 2 and hidden % _PART == 0 and rows_at_once(hidden, x.device) > 0


def recur(gates: Tensor, weight: Tensor, bias: Tensor, spans: Tensor, out: Tensor) -> None:
    """Run rows both ways, all states zero before, into `out` [frames, 2 hidden].

    `gates` [frames, 2, 3, hidden] is what the input is worth to resetting, keeping and what is new,
    in each direction, with all biases but one; `weight` [2, hidden, 3, hidden] what a state is
    worth to them in the frame behind, `bias` [2, hidden] the one that is reset too. `spans`
    [2, rows] int64 tells where each row begins and how long it is.
    """
    rows, hidden = spans.shape[1], weight.shape[1]
    blocks = triton.cdiv(rows, _ROWS)
    arrived = torch.zeros(2 * blocks, dtype=torch.int32, device=gates.device)
    _recur[(hidden // _PART, 2, blocks)](
        gates, weight, bias, spans, out, arrived, rows, hidden, _PART, _ROWS,
        num_warps=_WARPS, launch_cooperative_grid=True,
    )  # fmt: skip
