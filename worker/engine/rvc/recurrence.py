"""A recurrence both ways over time, over rows of different lengths at once, exactly.

torch has packed sequences for that, with which a GPU launches several kernels for every frame.
Here a row is told where it ends: one more input, 1 behind the end, holds the gate that keeps the
state as it is wide open. Backwards, the state is still zero where the row begins.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

#: Inputs are widened by this many, of which the first is used: products want multiples of eight.
_ADDED: Final = 8

#: What opens a gate all the way, whatever else it is told; within half precision.
_OPEN: Final = 1000.0


class Recurrence:
    """The layers of a `GRU` that is `bidirectional` and has `batch_first`, in its precision."""

    def __init__(self, given: nn.GRU) -> None:
        self._layers = [_told_the_end(given, layer) for layer in range(given.num_layers)]

    @torch.inference_mode()
    def __call__(self, x: Tensor, behind: Tensor) -> Tensor:
        """Return [rows, frames, 2 hidden] of [rows, frames, in].

        `behind` [rows, frames] is 1 behind the end of a row and 0 within it. What comes out behind
        the end is of no meaning.
        """
        for layer in self._layers:
            width = x.shape[-1]
            x = pad(x, (0, _ADDED))
            x[..., width] = behind
            x, _ = layer(x)
        return x


def _told_the_end(given: nn.GRU, layer: int) -> nn.GRU:
    """Return one layer with its inputs widened."""
    weight: Tensor = getattr(given, f"weight_ih_l{layer}")
    hidden, width = given.hidden_size, weight.shape[1]
    told = nn.GRU(
        width + _ADDED, hidden, batch_first=True, bidirectional=True, device="meta",
        dtype=weight.dtype,
    )  # fmt: skip
    state = {}
    for name in told.state_dict():
        tensor = getattr(given, name.replace("_l0", f"_l{layer}")).detach()
        if name.startswith("weight_ih"):
            tensor = pad(tensor, (0, _ADDED))
            # The rows are those of the reset gate, of the gate that keeps, and of what is new.
            tensor[hidden : 2 * hidden, width] = _OPEN
        state[name] = tensor
    told.load_state_dict(state, assign=True)
    told.requires_grad_(False)
    told.flatten_parameters()
    return told.eval()
