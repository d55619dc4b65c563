"""How fast XTTS speaks from text ids to samples on the host, on one GPU.

    python tests/bench/xtts_pipeline.py

True shapes and random weights: the speed is true, the sound is noise. First the vocoder alone,
in batches of windows; then decoder and vocoder together, rows of 2 to 20 s of audio joining as
others leave, as the engine does it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

if not __package__:
    # Run as a file: what it imports lies beside it in the checkout.
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.xtts_rows import BURST, DTYPES, TRUE_SHAPES, prompt_of, true_gpt
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.speakers import Speaker
from worker.engine.xtts.vocoder import HOP_SAMPLES, Utterance, Vocoder
from worker.engine.xtts.vocoder_weights import (
    BLOCK_KERNELS,
    DILATIONS,
    END_KERNEL,
    UPSAMPLING_KERNELS,
    Convolution,
    Stage,
    VocoderWeights,
)

SAMPLE_RATE_HZ: Final = 24000

#: Channels before the stages and after each of them, and of a voice's embedding.
_CHANNELS: Final = (512, 256, 128, 64, 32)
_EMBEDDING: Final = 512

#: Ids of rows from 2 to 20 s of audio.
_SHORTEST_CODES: Final = 43
_LONGEST_CODES: Final = 430


def random_vocoder(device: torch.device) -> VocoderWeights:
    """Return weights of the published shapes, small enough that nothing overflows in half."""
    generator = torch.Generator(device).manual_seed(1)

    def draw(*shape: int) -> Tensor:
        fan_in = shape[1] * shape[-1] if len(shape) > 1 else 1
        values = torch.randn(shape, generator=generator, device=device)
        return values * (0.5 / fan_in**0.5)

    def convolution(out: int, into: int, kernel: int) -> Convolution:
        return Convolution(draw(out, into, kernel), draw(out) * 0.01)

    stages = []
    for into, out, kernel in zip(_CHANNELS, _CHANNELS[1:], UPSAMPLING_KERNELS, strict=False):
        blocks = tuple(
            tuple((convolution(out, out, size), convolution(out, out, size)) for _ in DILATIONS)
            for size in BLOCK_KERNELS
        )
        up = Convolution(draw(into, out, kernel), draw(out) * 0.01)
        stages.append(Stage(up, blocks))
    width = TRUE_SHAPES["width"]
    return VocoderWeights(
        first=convolution(_CHANNELS[0], width, END_KERNEL),
        stages=tuple(stages),
        last=draw(1, _CHANNELS[-1], END_KERNEL),
        condition_weight=draw(sum(_CHANNELS), _EMBEDDING),
        condition_bias=draw(sum(_CHANNELS)) * 0.01,
        frames_per_latent=4.0,
        stretch=24000 / 22050,
        sample_rate_hz=SAMPLE_RATE_HZ,
    )


def time_vocoder(weights: VocoderWeights, dtype: torch.dtype, rows: int, *, compiled: bool) -> None:
    """Print the speed of full batches of the widest window."""
    options = {"rows": rows, "widths": (256,), "graphs": True, "compiled": compiled}
    start_s = time.perf_counter()
    vocoder = Vocoder(weights, dtype=dtype, layout="channels_last", **options)
    built_s = time.perf_counter() - start_s
    batch = vocoder._batches[256]
    times_ms = []
    for _ in range(12):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        batch.run()
        end.record()
        torch.cuda.synchronize()
        times_ms.append(start.elapsed_time(end))
    took_ms = statistics.median(times_ms)
    audio_s = rows * 256 * HOP_SAMPLES / SAMPLE_RATE_HZ
    speed = audio_s / took_ms * 1e3
    print(f"   {rows:4} windows: {took_ms:8.2f} ms, {speed:7.0f} x, made in {built_s:.1f} s")


def time_engine(
    gpt_dtype: torch.dtype, slots: int, rows: int, burst: int, *, compiled: bool
) -> None:
    """Print the speed of decoder and vocoder together, with all slots kept busy."""
    device = torch.device("cuda")
    gpt = true_gpt(device, gpt_dtype)
    decoder = Decoder(gpt, slots)
    vocoder = Vocoder(
        random_vocoder(device),
        dtype=torch.float16,
        layout="channels_last",
        rows=rows,
        graphs=True,
        compiled=compiled,
    )
    embedding = torch.randn(_EMBEDDING, device=device)
    speaker = Speaker.of(torch.zeros(32, gpt.width, device=device), embedding)
    lengths, numbers = random.Random(1), count()
    spent = {"prefill": 0.0, "decode": 0.0, "vocode": 0.0, "host": 0.0}

    def join(free: Sequence[int]) -> None:
        codes = [lengths.randint(_SHORTEST_CODES, _LONGEST_CODES) for _ in free]
        decoder.prefill(
            [
                prompt_of(gpt, slot, next(numbers), codes=length)
                for slot, length in zip(free, codes, strict=True)
            ]
        )

    def turn() -> float:
        """Do what a step of the engine does; return the audio of it."""
        start_s = time.perf_counter()
        decoder.burst(burst)
        ended = decoder.poll()
        decoded_s = time.perf_counter()
        if not ended:
            spent["decode"] += decoded_s - start_s
            return 0.0
        samples = vocoder.vocode([Utterance(decoder.latents(slot), speaker) for slot in ended])
        torch.cuda.synchronize()
        vocoded_s = time.perf_counter()
        lengths_samples = [len(one) for one in samples]
        torch.cat(samples).cpu()
        copied_s = time.perf_counter()
        join(list(ended))
        torch.cuda.synchronize()
        joined_s = time.perf_counter()
        spent["decode"] += decoded_s - start_s
        spent["vocode"] += vocoded_s - decoded_s
        spent["host"] += copied_s - vocoded_s
        spent["prefill"] += joined_s - copied_s
        return sum(lengths_samples) / SAMPLE_RATE_HZ

    join(list(range(slots)))
    while sum(spent.values()) < 2.0:
        turn()
    spent.update(dict.fromkeys(spent, 0.0))
    audio_s = 0.0
    start_s = time.perf_counter()
    while time.perf_counter() - start_s < 6.0:
        audio_s += turn()
    took_s = time.perf_counter() - start_s
    shares = ", ".join(f"{name} {value / took_s:.0%}" for name, value in spent.items())
    held_gib = torch.cuda.max_memory_allocated() / 2**30
    print(f"   {slots:4} slots: {audio_s / took_s:7.0f} x   {shares}   {held_gib:.1f} GiB")


def main(arguments: Sequence[str]) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the GPT")
    parser.add_argument("--slots", type=int, nargs="*", default=(1, 16, 64, 128, 256, 384))
    parser.add_argument("--rows", type=int, default=16, help="windows of one vocoder batch")
    parser.add_argument("--burst", type=int, default=BURST, help="steps between two looks")
    parser.add_argument(
        "--compiled", action="store_true", help="fuse the vocoder's element-wise work"
    )
    options = parser.parse_args(arguments)
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    weights = random_vocoder(torch.device("cuda"))
    for name, compiled in (("fp32", False), ("fp16", False), ("fp16", True)):
        how = "compiled" if compiled else "eager"
        print(f"\nvocoder alone, {name}, channels last, {how}, recorded")
        for rows in (1, 16, 32):
            time_vocoder(weights, DTYPES[name], rows, compiled=compiled)
    print(f"\ntext ids to samples on the host, GPT {options.dtype}, vocoder fp16")
    for slots in options.slots:
        sizes = (slots, options.rows, options.burst)
        time_engine(DTYPES[options.dtype], *sizes, compiled=options.compiled)


if __name__ == "__main__":
    main(sys.argv[1:])
