"""XTTS beside coqui-tts on one device, in one run: first that they say the same, then how fast.

    python tests/bench/xtts_rivals.py

True shapes and random weights, drawn into coqui-tts' own model, written as a checkpoint and read
from it by our loader. 50 chunks are spoken by `Xtts`, one after the other, and by our batch in
float32: ids, latents and samples are compared. Then the ids are forced upon the half precision
that is timed, and rows are spoken alone and among 253 others. Then everybody is timed.

`--middle` is the same with a small GPT, to see on a CPU that the script works.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch

if not __package__:
    # Run as a file: what it imports lies beside it in the checkout.
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.sections import Sections
from tests.bench.xtts_comparison import Comparison
from tests.bench.xtts_copies import FIVE_SECONDS, Copies
from tests.bench.xtts_published import MIDDLE, PUBLISHED
from worker.engine.xtts.checkpoint import load
from worker.engine.xtts.vocoder import ROWS

#: Chunks that are compared.
_CHUNKS: Final = 50

#: Slots to time, the most telling first, in case the time runs out.
_SLOTS: Final = (384, 256, 64, 1, 16, 128)


def main(arguments: Sequence[str]) -> int:
    """Compare, time, print; 1 if a section failed."""
    options = _options(arguments)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = torch.device(options.device)
    sizes = MIDDLE if options.middle else PUBLISHED
    sections = Sections(options.limit_s)
    print(f"torch {torch.__version__}, {_name(device)}", flush=True)
    with (
        tempfile.TemporaryDirectory() as name,
        Copies(options.copies, options.device, sizes, options.copy_codes) as copies,
    ):
        comparison = Comparison(Path(name), device, sizes, options.chunks)
        sections.run("50 chunks and coqui-tts, float32", comparison.equal_to_coqui)
        sections.run("half precision against coqui-tts", comparison.half_precision)
        for half in (False, True) if comparison.cuda else (False,):
            title = f"coqui-tts, one chunk of 5 s after the other, {'fp16' if half else 'fp32'}"
            sections.run(title, lambda half=half: comparison.stock_speed(half=half))
        sections.run(f"{options.copies} copies of coqui-tts", copies.speed)
        copies.end()
        sections.run("the whole engine, from the files", comparison.whole)
        if comparison.cuda:
            _time_ours(sections, comparison, options.slots)
    sections.show()
    return bool(sections.failed)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare XTTS with coqui-tts.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--middle", action="store_true", help="a small GPT")
    parser.add_argument("--chunks", type=int, default=_CHUNKS)
    parser.add_argument("--copies", type=int, default=8, help="processes of coqui-tts")
    parser.add_argument("--copy-codes", type=int, default=FIVE_SECONDS)
    parser.add_argument("--slots", type=int, nargs="*", default=_SLOTS)
    parser.add_argument("--limit-s", type=float, default=1e9, help="begin nothing after that")
    return parser.parse_args(arguments)


def _time_ours(sections: Sections, comparison: Comparison, slots: Sequence[int]) -> None:
    from tests.bench import xtts_pipeline as pipeline
    from tests.bench import xtts_pipeline_proofs as proofs
    from tests.bench.xtts_floor import best_speed
    from tests.bench.xtts_speeds import time_decoder

    vocoder = load(comparison.directory, comparison.device).vocoder
    weights = pipeline.Weights(comparison.gpt(), vocoder)
    sections.run("floor of 384 slots", lambda: best_speed(weights.gpt, vocoder, 384))
    sections.run("alone and among others", lambda: proofs.prove_invariance(weights, 256))
    sections.run("1,000 chunks and 1,000 more", lambda: proofs.prove_steadiness(weights, 64))
    for count in slots:
        title = f"text ids to samples on the host, {count} slots, invariant"
        sections.run(
            title, lambda count=count: pipeline.time_engine(weights, count, invariant=True)
        )
    sections.run("a lone chunk of 5 s", lambda: pipeline.time_lone(weights))
    for count in slots:
        title = f"decoding alone, {count} slots"
        sections.run(title, lambda count=count: time_decoder(weights.gpt, count, count))
    width, rows = max(ROWS.items())
    sections.run(
        f"vocoder alone, {rows} windows of {width}",
        lambda: pipeline.time_vocoder(vocoder, torch.float16, rows, width, triton=True),
    )


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
