"""How fast XTTS decodes on the device at hand, and whether the fast ways are right.

    python tests/bench/xtts_decode.py --device cuda

On a GPU, with true shapes and random weights: the Triton kernels against float64, graphs against
eager, rows alone against rows among others, half precision against single, then the speed for
each number of slots. On a CPU: a batch of 16 against stock coqui-tts, one text after the other,
on a model of middle size, and the vocoder against that of stock in three sizes. A section that
fails says so, and the others go on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import torch

if not __package__:
    # Run as a file: what it imports lies beside it in the checkout.
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import xtts_proofs, xtts_speeds
from tests.bench.sections import Sections
from tests.bench.xtts_rows import DTYPES
from worker.engine.triton_support import has_triton

#: Prints what it finds and tells whether that is good.
Section = Callable[[], bool]

SLOTS: Final = (1, 16, 64, 128, 256, 384)


def main(arguments: Sequence[str]) -> int:
    """Run every section that the device has; 1 if one of them failed."""
    options = _options(arguments)
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {_name(device)}")
    sections = _gpu_sections(device, options) if device.type == "cuda" else _cpu_sections()
    chosen = {title: work for title, work in sections.items() if options.only in title}
    ran = Sections(math.inf)
    for title, work in chosen.items():
        ran.run(title, work)
    ran.show()
    return bool(ran.failed)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prove and time the decoder of XTTS.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="of invariance and speed")
    parser.add_argument("--slots", type=int, nargs="*", default=SLOTS, help="to time")
    parser.add_argument("--only", default="", help="run the sections with this in their title")
    return parser.parse_args(arguments)


def _name(device: torch.device) -> str:
    if device.type == "cpu":
        return f"CPU with {torch.get_num_threads()} threads"
    name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    return f"{name}, capability {capability}, Triton {has_triton(device)}"


def _gpu_sections(device: torch.device, options: argparse.Namespace) -> dict[str, Section]:
    dtype = DTYPES[options.dtype]
    return {
        "attention kernel against float64": partial(xtts_proofs.kernel, device),
        "every way of the GPU against the CPU, fp32": partial(xtts_proofs.ways, device),
        "half precision against single, ids forced": partial(xtts_proofs.precision, device),
        f"invariance at 64 slots, {options.dtype}": partial(xtts_proofs.invariance, device, dtype),
        f"speed of full decoders, {options.dtype}": partial(
            xtts_speeds.full, device, dtype, options.slots
        ),
        f"speed of 256 slots with few rows, {options.dtype}": partial(
            xtts_speeds.sparse, device, dtype
        ),
        f"speed of prefill, {options.dtype}": partial(xtts_speeds.prefill, device, dtype),
        f"where a step goes, {options.dtype}": partial(xtts_speeds.profile, device, dtype),
    }


def _cpu_sections() -> dict[str, Section]:
    from tests.bench import xtts_stock, xtts_stock_vocoder

    return {
        "16 rows against stock coqui-tts, one by one": xtts_stock.against_stock,
        "the vocoder against stock coqui-tts, one thread": partial(
            xtts_stock_vocoder.against_stock, 1
        ),
        "the vocoder against stock coqui-tts, two threads": partial(
            xtts_stock_vocoder.against_stock, 2
        ),
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
