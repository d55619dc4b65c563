"""A recurrence both ways over time, over rows of different lengths at once, exactly.

torch has packed sequences for that, with which a GPU launches several kernels for every frame.
In half precision a GPU has a kernel of its own for it. Elsewhere a row is told where it ends: one
more input, 1 behind the end, holds the gate that keeps the state as it is wide open. Backwards, the
state is still zero where the row begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from torch.nn.utils.rnn import pad_sequence

from ..transfers import uploaded
from ..triton_support import has_triton

#: Inputs are widened by this many, of which the first is used: products want multiples of eight.
_ADDED: Final = 8

#: Rows of a padded layer at once, all of them as long as the longest.
_ROWS: Final = 32

#: What opens a gate all the way, whatever else it is told; within half precision.
_OPEN: Final = 1000.0


class Recurrence:
    """The layers of a `GRU` that is `bidirectional` and has `batch_first`, in its precision."""

    def __init__(self, given: nn.GRU) -> None:
        numbers = range(given.num_layers)
        self._layers: list[KernelLayer] | list[PaddedLayer]
        if KernelLayer.fits(given):
            self._layers = [KernelLayer(given, number) for number in numbers]
        else:
            self._layers = [PaddedLayer(given, number) for number in numbers]

    @torch.inference_mode()
    def __call__(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return [frames, 2 hidden] of [frames, in]: rows of these lengths, one behind another."""
        for layer in self._layers:
            x = layer(x, lengths)
        return x


class KernelLayer:
    """One layer, both ways, in a kernel that knows where rows begin and end."""

    def __init__(self, given: nn.GRU, number: int) -> None:
        hidden = given.hidden_size
        ways = [
            [getattr(given, f"{name}_l{number}{way}").detach() for way in ("", "_reverse")]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        self._by_input, by_state, input_bias, state_bias = (torch.stack(both) for both in ways)
        # [2, 3 hidden, hidden] -> [2, hidden, 3 hidden]
        self._by_state = by_state.mT.contiguous()
        # Resetting and keeping have one sum; what is new is told its state's bias apart.
        self._bias = input_bias.clone()
        self._bias[:, : 2 * hidden] += state_bias[:, : 2 * hidden]
        self._new_bias = state_bias[:, 2 * hidden :].contiguous()

    @staticmethod
    def fits(given: nn.GRU) -> bool:
        """Tell whether there is a kernel for such weights where they are."""
        weight: Tensor = getattr(given, "weight_ih_l0")  # noqa: B009 - a module's type is wider
        if not has_triton(weight.device):
            return False
        from . import recurrence_kernel

        return recurrence_kernel.fits(weight, given.hidden_size)

    def __call__(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """See `Recurrence`."""
        from .recurrence_kernel import recur, rows_at_once

        hidden = self._by_state.shape[1]
        gates = linear(x, self._by_input.flatten(0, 1), self._bias.flatten())
        out = x.new_empty(len(x), 2 * hidden)
        begins = list(accumulate(lengths, initial=0))[:-1]
        at_once = rows_at_once(hidden, x.device)
        for first in range(0, len(lengths), at_once):
            some = slice(first, first + at_once)
            spans = uploaded([*begins[some], *lengths[some]], x.device).view(2, -1)
            recur(gates, self._by_state, self._new_bias, spans, out)
        return out


class PaddedLayer:
    """One layer, both ways, as torch has it: rows are filled up, and told where they end."""

    def __init__(self, given: nn.GRU, number: int) -> None:
        weight: Tensor = getattr(given, f"weight_ih_l{number}")
        hidden, width = given.hidden_size, weight.shape[1]
        told = nn.GRU(
            width + _ADDED, hidden, batch_first=True, bidirectional=True, device="meta",
            dtype=weight.dtype,
        )  # fmt: skip
        state = {}
        for name in told.state_dict():
            tensor = getattr(given, name.replace("_l0", f"_l{number}")).detach()
            if name.startswith("weight_ih"):
                tensor = pad(tensor, (0, _ADDED))
                # The rows are those of the reset gate, of the gate that keeps, and of what is new.
                tensor[hidden : 2 * hidden, width] = _OPEN
            state[name] = tensor
        told.load_state_dict(state, assign=True)
        told.requires_grad_(False)
        told.flatten_parameters()
        self._told = told.eval()

    def __call__(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """See `Recurrence`."""
        rows, found = x.split(list(lengths)), []
        for first in range(0, len(rows), _ROWS):
            found += self._together(rows[first : first + _ROWS])
        return torch.cat(found)

    def _together(self, rows: Sequence[Tensor]) -> list[Tensor]:
        counts = [len(row) for row in rows]
        ends = uploaded(counts, rows[0].device)[:, None]
        padded = pad(pad_sequence(list(rows), batch_first=True), (0, _ADDED))
        padded[..., rows[0].shape[1]] = torch.arange(max(counts), device=padded.device) >= ends
        found, _ = self._told(padded)
        return [row[:count] for row, count in zip(found, counts, strict=True)]
