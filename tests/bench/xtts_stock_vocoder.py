"""Stock coqui-tts' `HifiDecoder` beside our vocoder, on a CPU: first equal, then timed.

With one thread the time counts that the processor has worked: neighbours on a shared machine
count less. With several it is the clock's.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor

from tests.unit.worker.engine.xtts import tiny_checkpoint
from worker.engine.xtts.checkpoint import XttsCheckpoint, load
from worker.engine.xtts.vocoder import FITTING_WIDTHS, Utterance, Vocoder

#: Codes of the utterances that are spoken together: 1 s, 3 s, 5 s and 15 s of speech alone, as
#: short, usual and long chunks are, and eight short ones of various lengths.
BATCHES: Final = ((22,), (65,), (108,), (323,), (20, 25, 31, 37, 44, 52, 61, 70))

#: Channels that a vocoder begins with, the published number last. Each has its rounds, in each of
#: which both speak every batch, and take turns in who begins.
ROUNDS: Final = {32: 7, 128: 5, 512: 3}

#: How far samples may differ.
_TOLERANCE: Final = 1e-5

#: How much slower ours may seem in a run and still count as no slower: machines are shared.
_NOISE: Final = 1.05


def against_stock(threads: int) -> bool:
    """Print how many times as fast ours is, for each size; False if it is slower or differs."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        good = [_of_size(channels, threads) for channels in ROUNDS]
    finally:
        torch.set_num_threads(before)
    return all(good)


@torch.inference_mode()
def _of_size(channels: int, threads: int) -> bool:
    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(tiny_checkpoint, "VOCODER_CHANNELS", channels),
    ):
        directory = Path(name) / "xtts"
        tiny_checkpoint.write_checkpoint(directory)
        stock: Any = tiny_checkpoint.reference(directory).hifigan_decoder
        checkpoint = load(directory)
    embedding = checkpoint.speakers["Alice"].embedding[None, :, None]
    # As a worker has it on a processor.
    vocoder = Vocoder(checkpoint.vocoder, widths=FITTING_WIDTHS, fit=True)
    good = True
    for codes in BATCHES:
        batch = _drawn(checkpoint, codes)
        print(f"   {channels:3} channels, ", end="")
        good &= _compared(
            lambda: [stock(one.latents[None], g=embedding).flatten() for one in batch],  # noqa: B023
            lambda: vocoder.vocode(batch),  # noqa: B023
            ROUNDS[channels],
            time.process_time if threads == 1 else time.perf_counter,
            checkpoint.vocoder.sample_rate_hz,
        )
    return good


def _drawn(checkpoint: XttsCheckpoint, codes: Sequence[int]) -> list[Utterance]:
    generator = torch.Generator().manual_seed(1)
    speaker, width = checkpoint.speakers["Alice"], checkpoint.gpt.width
    return [Utterance(torch.randn(n, width, generator=generator), speaker) for n in codes]


def _compared(
    theirs: Callable[[], list[Tensor]],
    ours: Callable[[], list[Tensor]],
    rounds: int,
    clock: Callable[[], float],
    rate_hz: int,
) -> bool:
    """Print and judge one batch."""
    pairs = list(zip(theirs(), ours(), strict=True))
    differ = max((one - other).abs().max().item() for one, other in pairs)
    audio_s = sum(len(one) for one, _ in pairs) / rate_hz
    spent_s: dict[Callable[[], list[Tensor]], list[float]] = {theirs: [], ours: []}
    for turn in range(rounds):
        for speak in (theirs, ours)[:: 1 if turn % 2 else -1]:
            start_s = clock()
            speak()
            spent_s[speak].append(clock() - start_s)
    stock_s, ours_s = (statistics.median(spent_s[speak]) for speak in (theirs, ours))
    ratio = stock_s / ours_s
    print(
        f"{len(pairs)} of {audio_s:4.1f} s in all: {ratio:.2f} times stock "
        f"({stock_s * 1000:.0f} ms and {ours_s * 1000:.0f} ms), within {differ:.0e}",
        flush=True,
    )
    return math.isfinite(differ) and differ <= _TOLERANCE and ratio * _NOISE >= 1
