"""The decoder for GPUs gives what the plain one gives: Triton's interpreter runs it here."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.unit.worker.engine.interpreted import run_interpreted

SCRIPT = """
import sys
import torch
from tests.unit.worker.engine.rvc.tiny_voice import TINY, config_of, tensors_of
from worker.engine import hifigan_convolution, hifigan_fused
from worker.engine.rvc.fused_generator import generate_fused
from worker.engine.rvc.generator import generate
from worker.engine.rvc.parcel import parcel
from worker.engine.rvc.voice_file import VoiceWeights
from worker.engine.rvc.weights import prepare

torch.manual_seed(0)
version, rate, f0, rows = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", int(sys.argv[4])
channels = int(sys.argv[5])
hifigan_fused.fits = lambda x: x.shape[1] in hifigan_convolution._TILES
config = config_of(version, rate, f0=f0, sizes=(*TINY[:5], channels, *TINY[6:]))
weights = parcel(prepare(VoiceWeights(config, tensors_of(config))), torch.float32).tree.decoder
z = torch.randn(rows, 9, config.inter_channels)
condition = torch.randn(rows, config.initial_channels)
source = 0.1 * torch.randn(rows, 9 * config.samples_per_frame) if f0 else None
given = (z, condition, source)
plain = generate(config, weights, *(None if one is None else one.clone() for one in given))
fused = generate_fused(config, weights, *given)
assert plain.shape == fused.shape and plain.std() > 0.01
apart = float((plain - fused).abs().max())
assert apart < 1e-5, apart
"""


@pytest.mark.parametrize(
    ("version", "rate", "f0", "rows", "channels"),
    [
        ("v2", 40000, True, 2, 32),
        ("v1", 32000, True, 1, 32),
        ("v2", 48000, False, 3, 32),
        # Two stages that the kernel for Hopper is for, and two that it is not.
        ("v2", 40000, True, 2, 128),
    ],
)
def test_the_fused_decoder_is_the_plain_one(version, rate, f0, rows, channels):
    run_interpreted(SCRIPT, version, str(rate), str(f0), str(rows), str(channels))
