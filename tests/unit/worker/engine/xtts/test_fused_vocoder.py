"""The vocoder for GPUs gives what the plain one gives: Triton's interpreter runs it here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.conftest import needed

CHECKOUT = Path(__file__).parents[5]

#: Run by a fresh interpreter: Triton decides at its import whether it interprets.
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
    needed("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(written_checkpoint)],
        check=False, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]
