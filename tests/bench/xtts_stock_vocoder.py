"""Stock coqui-tts' `HifiDecoder` beside our vocoder, on a CPU: first equal, then timed.

One thread, and the time that the processor has worked: neighbours on a shared machine count less.
"""

from __future__ import annotations

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
from worker.engine.xtts.checkpoint import load
from worker.engine.xtts.vocoder import Utterance, Vocoder

#: Channels that a vocoder begins with, the published one last, and the codes of the utterances:
#: 1 s, 5 s and 14 s of speech, as short, usual and long chunks are.
SIZES: Final = {32: (22, 108, 301), 128: (22, 108, 301), 512: (22, 108)}

#: Rounds, in each of which both speak every utterance, and take turns in who begins.
ROUNDS: Final = 3

#: How far samples may differ.
_TOLERANCE: Final = 1e-5

#: How much slower ours may seem in a run and still count as no slower: machines are shared.
_NOISE: Final = 1.05


def against_stock() -> bool:
    """Print how many times as fast ours is, for each size; False if it is slower or differs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    good = [_of_size(*size) for size in SIZES.items()]
    torch.set_num_threads(threads)
    return all(good)


@torch.inference_mode()
def _of_size(channels: int, codes: Sequence[int]) -> bool:
    with (
        tempfile.TemporaryDirectory() as name,
        patch.object(tiny_checkpoint, "VOCODER_CHANNELS", channels),
    ):
        directory = Path(name) / "xtts"
        tiny_checkpoint.write_checkpoint(directory)
        stock: Any = tiny_checkpoint.reference(directory).hifigan_decoder
        checkpoint = load(directory)
        speaker = checkpoint.speakers["Alice"]
        # As a worker has it on a processor.
        vocoder = Vocoder(checkpoint.vocoder, widths=())
        generator = torch.Generator().manual_seed(1)
        drawn = [torch.randn(n, checkpoint.gpt.width, generator=generator) for n in codes]

        def theirs(latents: Tensor) -> Tensor:
            samples: Tensor = stock(latents[None], g=speaker.embedding[None, :, None])
            return samples.flatten()

        def ours(latents: Tensor) -> Tensor:
            return vocoder.vocode([Utterance(latents, speaker)])[0]

        good = True
        for latents in drawn:
            differ = (theirs(latents) - ours(latents)).abs().max().item()
            stock_s, ours_s = _timed(lambda: theirs(latents), lambda: ours(latents))  # noqa: B023
            ratio = stock_s / ours_s
            audio_s = len(ours(latents)) / checkpoint.vocoder.sample_rate_hz
            print(
                f"   {channels:3} channels, {audio_s:4.1f} s of audio: {ratio:.2f} times stock "
                f"({stock_s * 1000:.0f} ms and {ours_s * 1000:.0f} ms), within {differ:.0e}",
                flush=True,
            )
            good = good and differ <= _TOLERANCE and ratio * _NOISE >= 1
        return good


def _timed(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return the medians of what both take, in seconds of the processor."""
    spent: dict[Callable[[], object], list[float]] = {first: [], second: []}
    for turn in range(ROUNDS):
        for work in (first, second)[:: 1 if turn % 2 else -1]:
            start_s = time.process_time()
            work()
            spent[work].append(time.process_time() - start_s)
    return statistics.median(spent[first]), statistics.median(spent[second])
