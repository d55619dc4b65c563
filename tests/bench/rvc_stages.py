"""RVC on this machine: first equal, then beside a peer, then how fast and how near to the floor.

    python -m tests.bench.rvc_stages                        # all of it, true shapes
    python -m tests.bench.rvc_stages --only proof peer
    python -m tests.bench.rvc_stages --device cpu --tiny    # that it runs

A section that fails stops no other. Random weights; `rmvpe`, an index rate of 0.75, an index of
100,000 vectors, 8 voices mixed. The proof needs torch and numpy alone; the peer its wheel (see
tests/oracles.txt) and what that imports.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch

from worker.engine.full_precision import keep_float32_exact

from . import rvc_peer, rvc_profile, rvc_proofs, rvc_speeds
from .rvc_networks import TINY_SHAPES, TRUE_SHAPES
from .sections import Sections

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

SECTIONS = ("proof", "half", "peer", "speed", "shapes", "kernels")


def main() -> int:
    """Do what the arguments ask for; 1 if a proof has failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default=None, choices=_DTYPES)
    parser.add_argument("--tiny", action="store_true", help="small networks, short recordings")
    parser.add_argument("--voices", type=int, default=8)
    parser.add_argument("--batches", type=int, nargs="+", default=None)
    parser.add_argument("--seconds", type=float, nargs="+", default=None)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--quick", action="store_true", help="speed without stages and floor")
    parser.add_argument("--limit", type=float, default=500, help="s after which none is begun")
    given = parser.parse_args()
    device = torch.device(given.device)
    precision = given.precision or ("fp16" if device.type == "cuda" else "fp32")
    shapes = TINY_SHAPES if given.tiny else TRUE_SHAPES
    dtype = _DTYPES[precision]
    batches = given.batches or ([1, 2] if given.tiny else [1, 8, 32])
    lengths_s = given.seconds or ([1.0] if given.tiny else [5.0, 30.0])
    keep_float32_exact()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{name}, torch {torch.__version__}, {precision}")
    works: dict[str, Callable[[], bool]] = {
        "proof": lambda: rvc_proofs.batch_is_alone(device, shapes),
        "half": lambda: rvc_proofs.half_is_near(device, shapes),
        "peer": lambda: rvc_peer.beside(device, dtype, shapes, lengths_s),
        "speed": lambda: rvc_speeds.stages(
            device, dtype, shapes, given.voices, batches, lengths_s, quick=given.quick
        ),
        "shapes": lambda: rvc_speeds.decoder_shapes(device, dtype, shapes, tiny=given.tiny),
        "kernels": lambda: rvc_profile.kernels(
            device, dtype, shapes, given.voices, batches[-1], lengths_s
        ),
    }
    sections = Sections(given.limit)
    for section in given.only:
        sections.run(section, works[section])
    sections.show()
    return 1 if sections.failed else 0


if __name__ == "__main__":
    with torch.inference_mode():
        sys.exit(main())
