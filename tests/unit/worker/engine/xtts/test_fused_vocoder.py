"""The vocoder for GPUs gives what the plain one gives: Triton's interpreter runs it here."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.unit.worker.engine.interpreted import run_interpreted

SCRIPT = """
import sys
from pathlib import Path
import torch
from worker.engine.xtts.checkpoint import load
from worker.engine.xtts.hifigan import generator_for

torch.manual_seed(0)
weights = load(Path(sys.argv[1])).vocoder
plain, fused = (
    generator_for(weights, torch.float32, "channels_last", triton=way) for way in (False, True)
)
frames, conditions = plain.frames(2, 9), plain.conditions(2)
frames.normal_(), conditions.normal_()
one, other = (network(frames.clone(), conditions.clone()) for network in (plain, fused))
assert type(plain) is not type(fused) and one.shape == other.shape and one.std() > 0.01
apart = float((one - other).abs().max())
assert apart < 1e-5, apart
"""


def test_the_fused_vocoder_is_the_plain_one(written_checkpoint):
    run_interpreted(SCRIPT, str(written_checkpoint))
