"""How long a decode step of XTTS takes on a GPU, and where that goes."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from typing import Final

import torch

from worker.engine.xtts.decoder import Decoder, slot_bytes
from worker.engine.xtts.weights import GptWeights

from .xtts_rows import BURST, prompt_of, true_gpt

#: Seconds of audio that one id stands for: 1024 samples at 22,050 Hz.
CODE_S: Final = 1024 / 22050

#: About ten seconds of audio.
_TIMED_STEPS: Final = 216

_HEADER: Final = "rows  of slots  record s  ms/step  x real time  last ms/step  GiB held"


def full(device: torch.device, dtype: torch.dtype, slots: Sequence[int]) -> bool:
    """All slots busy for ten seconds of audio, from prompts of mixed length on."""
    weights = true_gpt(device, dtype)
    print(f"   a slot takes {slot_bytes(weights) / 2**20:.1f} MiB\n   {_HEADER}")
    for count in slots:
        time_decoder(weights, count, count, invariant=True)
    return True


def sparse(device: torch.device, dtype: torch.dtype) -> bool:
    """Few rows in many slots: what latency mode is for, with invariant mode beside it."""
    weights = true_gpt(device, dtype)
    print(f"   {_HEADER}")
    for invariant in (False, True):
        print(f"   {'invariant' if invariant else 'latency'} mode")
        for rows in (1, 4, 16, 64):
            time_decoder(weights, rows, 256, invariant=invariant)
    return True


def prefill(device: torch.device, dtype: torch.dtype) -> bool:
    """Prompts of mixed length, on an idle GPU."""
    weights = true_gpt(device, dtype)
    decoder = Decoder(weights, 64)
    for count in (1, 4, 16, 64):
        prompts = [prompt_of(weights, slot, slot) for slot in range(count)]
        queued_ms, done_ms = [], []
        for _ in range(8):
            torch.cuda.synchronize()
            start_s = time.perf_counter()
            decoder.prefill(prompts)
            queued_ms.append((time.perf_counter() - start_s) * 1000)
            torch.cuda.synchronize()
            done_ms.append((time.perf_counter() - start_s) * 1000)
            decoder.release(range(count))
        print(
            f"   {count:3} prompts: {statistics.median(done_ms):6.2f} ms, "
            f"of which the host {statistics.median(queued_ms):6.2f} ms"
        )
    return True


def profile(device: torch.device, dtype: torch.dtype) -> bool:
    """The kernels of a step by their time, without a graph, at about 200 positions."""
    weights = true_gpt(device, dtype)
    steps = 5
    for slots in (1, 256):
        decoder = Decoder(weights, slots, graphs=False)
        decoder.prefill([prompt_of(weights, slot, slot) for slot in range(slots)])
        decoder.burst(100)
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
            decoder.burst(steps)
            torch.cuda.synchronize()
        rows = sorted(found.key_averages(), key=lambda row: -row.self_device_time_total)
        step_ms = sum(row.self_device_time_total for row in rows) / steps / 1000
        count = sum(row.count for row in rows if row.self_device_time_total) // steps
        print(f"   {slots} slots: {step_ms:.3f} ms of kernels a step, {count} of them")
        for row in rows[:16]:
            step_us = row.self_device_time_total / steps
            print(f"   {step_us:9.1f} us {row.count // steps:4} x  {row.key[:100]}")
        del decoder
        gc.collect()
        torch.cuda.empty_cache()
    return True


def time_decoder(
    weights: GptWeights, rows: int, slots: int, *, invariant: bool = True
) -> float | None:
    """Print one line of the table and return the speed; a decoder that does not fit says so."""
    # The one before is gone by now, but for what the collector and the allocator keep of it.
    gc.collect()
    torch.cuda.empty_cache()
    try:
        start_s = time.perf_counter()
        decoder = Decoder(weights, slots, invariant=invariant)
        torch.cuda.synchronize()
        record_s = time.perf_counter() - start_s
        times_s = _bursts_s(decoder, weights, rows)
        held = torch.cuda.memory_reserved() / 2**30
    except torch.OutOfMemoryError:
        print(f"   {rows:4}  {slots:8}  out of memory")
        return None
    step_s = statistics.mean(times_s)
    speed = rows * CODE_S / step_s
    print(
        f"   {rows:4}  {slots:8}  {record_s:8.1f}  {step_s * 1000:7.3f}  "
        f"{speed:11.1f}  {times_s[-1] * 1000:12.3f}  {held:8.1f}",
        flush=True,
    )
    return speed


def _bursts_s(decoder: Decoder, weights: GptWeights, rows: int) -> list[float]:
    """Return seconds per step of every burst, the host one burst behind as in the engine."""
    decoder.prefill([prompt_of(weights, slot, slot) for slot in range(rows)])
    decoder.burst(BURST)
    decoder.burst(BURST)
    decoder.poll(in_flight=1)
    times_s = []
    for _ in range(_TIMED_STEPS // BURST):
        start_s = time.perf_counter()
        decoder.burst(BURST)
        decoder.poll(in_flight=1)
        times_s.append((time.perf_counter() - start_s) / BURST)
    return times_s
