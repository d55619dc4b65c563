"""The kernels of a decode step do what the plain ways do: Triton's interpreter runs them here."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.unit.worker.engine.interpreted import run_interpreted

#: Rows of many
#: lengths, of which some are idle; each looks past the end of one block, at it, and before it.
SCRIPT = """
import torch
from triton.runtime import interpreter
from worker.engine.xtts.attention import attend_live
from worker.engine.xtts.kernels import add_norm, attend
from worker.engine.xtts.transformer import add_norm as plain_add_norm

# Since numpy 2.4 an array of one number is no index, which the bounds of loops are here.
as_triton_has_it = interpreter._patch_lang_tensor
def with_index(tensor, scope):
    as_triton_has_it(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())
interpreter._patch_lang_tensor = with_index

torch.manual_seed(0)
heads, head_dim, slots = 2, 16, 7
positions = torch.tensor([33, 0, 64, 129, 0, 1])
live = positions > 0
cache = torch.randn(2, slots, heads, 140, head_dim)
qkv = torch.randn(len(positions), 3 * heads * head_dim)
ours, theirs = cache.clone(), cache.clone()

found = attend(qkv, *ours, positions)
wanted = attend_live(qkv, *theirs, positions)

apart = float((found - wanted)[live].abs().max())
assert apart < 1e-5, apart
rows = torch.arange(len(positions))
assert torch.equal(ours[:, rows[live]], theirs[:, rows[live]])
# Few rows are read in larger blocks.
few = attend(qkv[:3], *cache.clone(), positions[:3])
assert float((few - found[:3]).abs().max()) < 1e-5
# An idle row is nothing, and leaves what lies in its slot.
assert not found[~live].any()
assert torch.equal(ours[:, rows[~live]], cache[:, rows[~live]])

residual, update = torch.randn(3, 96), torch.randn(3, 96)
weight, bias = torch.randn(96), torch.randn(96)
one, other = residual.clone(), residual.clone()
normed = add_norm(one, update, weight, bias, 1e-5, torch.float32)
plainly = plain_add_norm(other, update, weight, bias, 1e-5, torch.float32)
assert float((normed - plainly).abs().max()) < 1e-5
assert torch.equal(one, other)
"""


def test_attention_and_norm_are_the_plain_ones_and_idle_rows_are_left_alone():
    run_interpreted(SCRIPT)
