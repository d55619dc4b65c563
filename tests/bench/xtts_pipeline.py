"""How fast XTTS speaks from text ids to samples on the host, on one GPU.

    python tests/bench/xtts_pipeline.py

True shapes and random weights: the speed is true, the sound is noise. First the vocoder alone,
in batches of windows; then decoder and vocoder together, rows of 2 to 20 s of audio joining as
others leave, as the engine does it.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

if not __package__:
    # Run as a file: what it imports lies beside it in the checkout.
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.xtts_rows import BURST, DTYPES, TRUE_SHAPES, prompt_of, true_gpt
from worker.engine.request import Samples
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.graphs import Graphs
from worker.engine.xtts.hifigan import generator_for
from worker.engine.xtts.speakers import Speaker
from worker.engine.xtts.vocoder import HOP_SAMPLES, ROWS, Utterance, Vocoder
from worker.engine.xtts.vocoder_weights import (
    BLOCK_KERNELS,
    DILATIONS,
    END_KERNEL,
    UPSAMPLING_KERNELS,
    Convolution,
    Stage,
    VocoderWeights,
)
from worker.engine.xtts.weights import GptWeights
from worker.engine.xtts.window_batch import WindowBatch

SAMPLE_RATE_HZ: Final = 24000

#: Channels before the stages and after each of them, and of a voice's embedding.
_CHANNELS: Final = (512, 256, 128, 64, 32)
_EMBEDDING: Final = 512

#: Ids of rows from 2 to 20 s of audio.
_SHORTEST: Final = 43
_LONGEST: Final = 430
_FIVE_SECONDS: Final = 108

#: Voices that take turns.
_VOICES: Final = 8

#: Seconds before a measurement, and of it.
_SETTLING_S: Final = 4.0
_TIMED_S: Final = 6.0


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


def time_vocoder(
    weights: VocoderWeights, dtype: torch.dtype, rows: int, width: int, *, triton: bool
) -> float:
    """Print and return the speed of full batches of one window."""
    start_s = time.perf_counter()
    generator = generator_for(weights, dtype, "channels_last", triton=triton)
    batch = WindowBatch(generator, rows, width, Graphs(torch.device("cuda")))
    built_s = time.perf_counter() - start_s
    times_ms = []
    for _ in range(12):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        batch._run()
        end.record()
        torch.cuda.synchronize()
        times_ms.append(start.elapsed_time(end))
    took_ms = statistics.median(times_ms)
    audio_s = rows * width * HOP_SAMPLES / SAMPLE_RATE_HZ
    speed = audio_s / took_ms * 1e3
    shape = f"{rows:4} windows of {width:3}"
    print(f"   {shape}: {took_ms:8.2f} ms, {speed:7.0f} x, made in {built_s:.1f} s", flush=True)
    return speed


@dataclass(frozen=True)
class Weights:
    """Of the two networks, on the GPU; `gpt` has the dtype that is measured."""

    gpt: GptWeights
    vocoder: VocoderWeights

    @classmethod
    def random(cls, gpt_dtype: torch.dtype) -> Weights:
        """Draw them, in the published shapes."""
        device = torch.device("cuda")
        return cls(true_gpt(device, gpt_dtype), random_vocoder(device))


class Pipeline:
    """Decoder and vocoder as the engine has them, and prompts without end."""

    def __init__(self, weights: Weights, slots: int, *, invariant: bool = True) -> None:
        self.gpt = weights.gpt
        device = self.gpt.device
        self.decoder = Decoder(self.gpt, slots, invariant=invariant)
        fast = self.gpt.dtype != torch.float32
        self.vocoder = Vocoder(
            weights.vocoder,
            dtype=torch.float16 if fast else torch.float32,
            rows=None,
            graphs=True,
            triton=True,
            invariant=invariant,
        )
        generator = torch.Generator(device).manual_seed(2)
        self._speakers = [
            Speaker.of(
                torch.randn(32, self.gpt.width, device=device, generator=generator),
                torch.randn(_EMBEDDING, device=device, generator=generator),
            )
            for _ in range(_VOICES)
        ]
        self._numbers: dict[int, int] = {}

    def join(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Put rows (slot, number, ids) into the batch."""
        prompts = []
        for slot, number, codes in rows:
            self._numbers[slot] = number
            voice = self._speaker(number).latents
            prompts.append(prompt_of(self.gpt, slot, number, codes=codes, voice=voice))
        self.decoder.prefill(prompts)

    def turn(self, burst: int, in_flight: int = 1) -> tuple[list[int], dict[int, Samples]]:
        """Do what a step of the engine does; return the free slots and what is done by number."""
        self.decoder.burst(burst)
        ended = [*self.decoder.poll(in_flight)]
        for slot in ended:
            number = self._numbers[slot]
            latents = self.decoder.latents(slot)
            self.vocoder.begin(str(number), Utterance(latents, self._speaker(number)))
        self.decoder.release(ended)
        idle = not self.decoder._running
        self.vocoder.advance(flush=idle)
        done = self.vocoder.finished(wait=idle)
        return ended, {int(name): samples for name, samples in done}

    def _speaker(self, number: int) -> Speaker:
        return self._speakers[number % _VOICES]


def time_engine(weights: Weights, slots: int, burst: int = BURST, *, invariant: bool) -> float:
    """Print and return the speed of decoder and vocoder together, with all slots kept busy."""
    torch.cuda.reset_peak_memory_stats()
    pipeline = Pipeline(weights, slots, invariant=invariant)
    lengths, numbers = random.Random(1), count()

    def joined(free: Sequence[int]) -> None:
        pipeline.join(
            [(slot, next(numbers), lengths.randint(_SHORTEST, _LONGEST)) for slot in free]
        )

    def speak(seconds: float) -> tuple[float, float]:
        samples, start_s = 0, time.perf_counter()
        while time.perf_counter() - start_s < seconds:
            free, done = pipeline.turn(burst)
            samples += sum(map(len, done.values()))
            joined(free)
        return samples / SAMPLE_RATE_HZ, time.perf_counter() - start_s

    joined(range(slots))
    # So long that rows of all ages are there, as they are in the middle of a night.
    speak(_SETTLING_S)
    audio_s, took_s = speak(_TIMED_S)
    held_gib = torch.cuda.max_memory_allocated() / 2**30
    print(f"   {slots:4} slots: {audio_s / took_s:7.0f} x   {held_gib:.1f} GiB", flush=True)
    return audio_s / took_s


def time_lone(weights: Weights) -> None:
    """Print how long a chunk of 5 s takes that is alone, from its ids to samples on the host."""
    for slots, invariant in ((1, True), (256, False), (256, True)):
        pipeline = Pipeline(weights, slots, invariant=invariant)
        took_ms = []
        for number in range(12):
            start_s = time.perf_counter()
            pipeline.join([(0, number, _FIVE_SECONDS)])
            done: dict[int, Samples] = {}
            while not done:
                _, done = pipeline.turn(BURST)
            took_ms.append((time.perf_counter() - start_s) * 1000)
        mode = "invariant" if invariant else "latency"
        print(f"   {slots:4} slots, {mode}: {statistics.median(took_ms[2:]):.0f} ms", flush=True)
        del pipeline
        gc.collect()
        torch.cuda.empty_cache()


def main(arguments: Sequence[str]) -> int:
    """Print all tables; 1 if something is not as it should be."""
    from tests.bench.xtts_pipeline_proofs import prove_half_precision, prove_invariance

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16", help="of the GPT")
    parser.add_argument("--slots", type=int, nargs="*", default=(1, 16, 64, 128, 256, 384))
    parser.add_argument("--burst", type=int, default=BURST, help="steps between two looks")
    options = parser.parse_args(arguments)
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    vocoder = random_vocoder(torch.device("cuda"))
    for name, triton in (("fp32", False), ("fp32", True), ("fp16", False), ("fp16", True)):
        how = "fused" if triton else "as it is"
        print(f"\nvocoder alone, {name}, channels last, {how}, recorded")
        for width, rows in ROWS.items():
            time_vocoder(vocoder, DTYPES[name], rows, width, triton=triton)
    print("\nwhat half precision changes")
    proven = [prove_half_precision(vocoder)]
    print("\nrows alone and among others, samples on the host")
    for name in ("fp32", options.dtype):
        proven.append(prove_invariance(Weights.random(DTYPES[name]), 256))
        gc.collect()
    weights = Weights.random(DTYPES[options.dtype])
    print(f"\na lone chunk of 5 s, ids to samples on the host, GPT {options.dtype}")
    time_lone(weights)
    print(f"\ntext ids to samples on the host, GPT {options.dtype}, vocoder fp16")
    for invariant in (True, False):
        print(f"   {'invariant' if invariant else 'latency'} mode")
        for slots in options.slots:
            time_engine(weights, slots, options.burst, invariant=invariant)
            gc.collect()
            torch.cuda.empty_cache()
    return int(not all(proven))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
