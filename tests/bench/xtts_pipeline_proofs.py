"""That XTTS' rows are the same among others and leave nothing behind, on the GPU that is timed."""

from __future__ import annotations

import gc
import random
import resource
from itertools import count
from pathlib import Path

import numpy as np
import torch

from worker.engine.full_precision import keep_float32_exact
from worker.engine.request import Samples
from worker.engine.xtts.hifigan import generator_for
from worker.engine.xtts.vocoder import ROWS
from worker.engine.xtts.vocoder_weights import VocoderWeights

from .xtts_pipeline import Pipeline, Weights
from .xtts_rows import BURST


def prove_invariance(weights: Weights, slots: int) -> bool:
    """Samples of rows that are alone and of the same rows among others, bit for bit."""
    pipeline = Pipeline(weights, slots)
    watched = {slot: (1000 + slot, 60 + 41 * place) for place, slot in enumerate((0, 7, slots - 1))}

    def spoken(rows: list[tuple[int, int, int]]) -> dict[int, Samples]:
        pipeline.join(rows)
        done: dict[int, Samples] = {}
        while len(done) < len(rows):
            done |= pipeline.turn(BURST)[1]
        return done

    alone = [spoken([(3, number, codes)])[number] for number, codes in watched.values()]
    others = [(slot, slot, 30 + slot % 200) for slot in range(slots) if slot not in watched]
    among = spoken([*others, *((slot, *row) for slot, row in watched.items())])
    equal = [
        np.array_equal(one, among[number])
        for one, (number, _) in zip(alone, watched.values(), strict=True)
    ]
    print(f"   {slots} slots, {weights.gpt.dtype}: {sum(equal)} of {len(equal)} equal bit for bit")
    return all(equal)


def prove_steadiness(weights: Weights, slots: int, chunks: int = 1000) -> bool:
    """Speak many chunks, and compare the memory of device and host in the middle and at the end."""
    pipeline = Pipeline(weights, slots)
    lengths, numbers = random.Random(1), count()
    done, free = 0, list(range(slots))
    held: list[tuple[int, int]] = []
    for goal in (chunks, 2 * chunks):
        while done < goal:
            pipeline.join([(slot, next(numbers), lengths.randint(20, 80)) for slot in free])
            free, finished = pipeline.turn(BURST)
            done += len(finished)
        gc.collect()
        torch.cuda.synchronize()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held.append((torch.cuda.memory_reserved(), pages * resource.getpagesize()))
    (device_before, host_before), (device_after, host_after) = held
    print(
        f"   {chunks} chunks after {chunks}: device {device_before / 2**20:.0f} -> "
        f"{device_after / 2**20:.0f} MiB, host {host_before / 2**20:.1f} -> "
        f"{host_after / 2**20:.1f} MiB"
    )
    return device_after <= device_before and host_after - host_before < 16 * 2**20


@torch.inference_mode()
def prove_half_precision(weights: VocoderWeights) -> bool:
    """Samples in half precision, as torch makes them and fused, beside torch's in float32."""
    keep_float32_exact()
    draw = torch.Generator(weights.last.device).manual_seed(0)
    held = True
    for width, rows in ROWS.items():
        frames = conditions = None
        made = []
        for dtype, triton in (
            (torch.float32, False),
            (torch.float16, False),
            (torch.float16, True),
        ):
            network = generator_for(weights, dtype, "channels_last", triton=triton)
            if frames is None:
                frames = network.frames(rows, width).normal_(generator=draw)
                conditions = network.conditions(rows).normal_(generator=draw)
            given, voices = network.frames(rows, width), network.conditions(rows)
            made.append(network(given.copy_(frames), voices.copy_(conditions)).double())
        exact, *halves = made
        torchs, fused = (float((half - exact).norm() / exact.norm()) for half in halves)
        shape = f"{rows:2} windows of {width:3}"
        print(f"   {shape}: fp16 off by {torchs:.2e} of the norm, fused {fused:.2e}")
        held &= fused < 2 * torchs
    return held
