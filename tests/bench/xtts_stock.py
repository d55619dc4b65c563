"""Stock coqui-tts beside the batch, on a CPU and a model of middle size.

One thread, and the time that the processor has worked: neighbours on a shared machine count less.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final
from unittest.mock import patch

import torch

from tests.unit.worker.engine.xtts import tiny_checkpoint
from tests.unit.worker.engine.xtts.coqui_rows import spoken_by_coqui
from worker.engine.xtts.checkpoint import load
from worker.engine.xtts.decoder import Decoder

from .xtts_rows import prompt_of, takes_of

#: 25 million parameters in the layers.
_SIZES: Final = {"WIDTH": 512, "HEADS": 8, "LAYERS": 8}

#: As the configuration counts them: 108 ids are spoken, which is 5 s.
_AUDIO_TOKENS: Final = 111

_ROWS: Final = 16

#: How many times as fast as stock the batch has to be.
_WANTED: Final = 4.0


def against_stock() -> bool:
    """The same texts, greedy, to ids and latents: stock takes turns, ours has them together."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _against_stock()
    finally:
        torch.set_num_threads(threads)


def _against_stock() -> bool:
    with tempfile.TemporaryDirectory() as name, patch.multiple(tiny_checkpoint, **_SIZES):
        directory = Path(name) / "xtts"
        tiny_checkpoint.write_checkpoint(directory, stop_bias=-1e4, max_audio_tokens=_AUDIO_TOKENS)
        stock = tiny_checkpoint.reference(directory)
        weights = load(directory).gpt
        prompts = [prompt_of(weights, slot, slot, greedy=True) for slot in range(_ROWS)]
        spoken_by_coqui(stock, prompts[0])
        start_s = time.process_time()
        expected = [spoken_by_coqui(stock, prompt) for prompt in prompts]
        stock_s = time.process_time() - start_s
        good = True
        for mode in ("invariant", "latency"):
            decoder = Decoder(weights, _ROWS, invariant=mode == "invariant")
            start_s = time.process_time()
            found = takes_of(decoder, prompts)
            ours_s = time.process_time() - start_s
            pairs = zip(found, expected, strict=True)
            equal = sum(ours[0] == theirs[0].tolist() for ours, theirs in pairs)
            print(
                f"   {mode} mode: {stock_s / ours_s:.1f} times stock ({ours_s:.2f} s, stock "
                f"{stock_s:.2f} s), ids of {equal} rows of {_ROWS} equal"
            )
            good = good and equal == _ROWS and stock_s / ours_s >= _WANTED
    return good
