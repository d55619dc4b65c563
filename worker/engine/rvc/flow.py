"""The flow: a chain of couplings that turns latents of the prior into those of the decoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import linear

from .convolution import convolve_any
from .weights import FlowStep


def run_flow(
    steps: Sequence[FlowStep], z: Tensor, conditions: Sequence[Tensor], mask: Tensor
) -> Tensor:
    """Return the latents of the decoder, [rows, frames, inter]; `z` is used up.

    `conditions` has for each step what the speaker adds to its gates, [rows, layers * 2 * hidden];
    `mask` [rows, frames] is 1 where a row has a frame. What lies behind it stays as it is.
    """
    shown = mask[:, :, None].to(z.dtype)
    halves = z.chunk(2, dim=-1)
    for step, condition in zip(steps, conditions, strict=True):
        deciding, changed = halves if step.changes_second else halves[::-1]
        changed.sub_(_change(step, deciding, condition, shown))
    return z


def _change(step: FlowStep, deciding: Tensor, condition: Tensor, shown: Tensor) -> Tensor:
    x = linear(deciding, step.pre.weight, step.pre.bias) * shown
    heard = []
    width = x.shape[-1]
    for place, (gate, onward) in enumerate(zip(step.gates, step.onward, strict=True)):
        added = condition[:, None, 2 * place * width : 2 * (place + 1) * width]
        level, opening = (convolve_any(x, gate) + added).chunk(2, dim=-1)
        passed = linear(level.tanh() * opening.sigmoid(), onward.weight, onward.bias)
        if passed.shape[-1] > width:
            x = (x + passed[..., :width]) * shown
            passed = passed[..., width:]
        heard.append(passed)
    return linear(sum(heard[1:], heard[0]) * shown, step.post.weight, step.post.bias) * shown
