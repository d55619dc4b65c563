"""The least time that XTTS can take on a GPU: bytes and operations over measured rates."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

import torch

from worker.engine.xtts.vocoder import HOP_SAMPLES
from worker.engine.xtts.vocoder_weights import STRIDES, VocoderWeights
from worker.engine.xtts.weights import CONDITIONING, GptWeights

#: Seconds of audio that one id stands for: 1024 samples at 22,050 Hz.
CODE_S: Final = 1024 / 22050

#: Of the chunks that are timed: ids of a text with its two marks, and of its audio.
_TEXT_IDS: Final = 63
_CODES: Final = 236


def copy_bytes_per_s() -> float:
    """Return the rate of a large copy on the device, read and written bytes together."""
    source = torch.randint(0, 255, (2**32,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / _seconds(lambda: target.copy_(source))


def matmul_flop_per_s() -> float:
    """Return the rate of a large product of bf16 matrices of random numbers."""
    size = 8192
    one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: one @ other)


def best_speed(gpt: GptWeights, vocoder: VocoderWeights, slots: int) -> float:
    """Print and return the speed that bytes and operations alone would allow."""
    copied, multiplied = copy_bytes_per_s(), matmul_flop_per_s()
    parameters = 12 * gpt.width**2 * len(gpt.layers)
    positions = CONDITIONING + _TEXT_IDS + _CODES / 2
    cached_bytes = slots * positions * len(gpt.layers) * 2 * gpt.width * 2
    step_s = max((2 * parameters + cached_bytes) / copied, 2 * parameters * slots / multiplied)
    prefill_s = 2 * parameters * _TEXT_IDS / multiplied / (_CODES * CODE_S)
    decode_s = step_s / (slots * CODE_S)
    vocoder_s = vocoder_flop(vocoder) / multiplied
    speed = 1 / (decode_s + prefill_s + vocoder_s)
    print(
        f"   copies {copied / 1e12:.2f} TB/s, multiplies {multiplied / 1e12:.0f} TFLOP/s; a second "
        f"of audio takes {decode_s * 1e6:.0f} us of decoding, {prefill_s * 1e6:.0f} us of prompts, "
        f"{vocoder_s * 1e6:.0f} us of vocoder ({vocoder_flop(vocoder) / 1e9:.0f} GFLOP)"
    )
    return speed


def vocoder_flop(weights: VocoderWeights) -> float:
    """Return the operations of the convolutions for one second of audio."""
    rate_hz = weights.sample_rate_hz / HOP_SAMPLES
    flop = 2 * weights.first.weight.numel() * rate_hz
    for stride, stage in zip(STRIDES, weights.stages, strict=True):
        # Each value that goes in is multiplied with the whole kernel.
        flop += 2 * stage.upsampling.weight.numel() * rate_hz
        rate_hz *= stride
        pairs = (pair for block in stage.blocks for pair in block)
        flop += 2 * sum(one.weight.numel() for pair in pairs for one in pair) * rate_hz
    return flop + 2 * weights.last.numel() * rate_hz


def _seconds(work: Callable[[], object]) -> float:
    times_ms = []
    for _ in range(10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times_ms.append(start.elapsed_time(end))
    return statistics.median(times_ms) / 1e3
