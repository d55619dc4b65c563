"""Copies of stock coqui-tts on one device, each in a process of its own, as people do it."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Event
from queue import Empty
from typing import Any, Self

import torch

from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.weights import CONDITIONING

from .xtts_published import EMBEDDING, Sizes, Stock, drawn_model

#: Ids of a chunk of 5 s.
FIVE_SECONDS = 108

#: Seconds of audio that one id stands for: 1024 samples at 22,050 Hz.
CODE_S = 1024 / 22050

#: Of a chunk's text.
_TEXT_IDS = 60

#: How long a process may take until it can speak, and to end its last chunk.
_PATIENCE_S = 120.0


class Copies:
    """`count` processes that load at once and wait until they are let go, all together."""

    def __init__(self, count: int, device: str, sizes: Sizes, codes: int = FIVE_SECONDS) -> None:
        context = multiprocessing.get_context("spawn")
        self._go = context.Event()
        self._told: Any = context.Queue()
        self._processes = [
            context.Process(
                target=_speak, args=(device, sizes, codes, self._go, self._told), daemon=True
            )
            for _ in range(count)
        ]

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End them all, so that others have the device."""
        for process in self._processes:
            process.kill()
            process.join()

    def speed(self) -> float:
        """Return seconds of audio a second of all copies, each of which speaks three chunks."""
        for _ in self._processes:
            self._hear()
        start_s = time.perf_counter()
        self._go.set()
        audio_s = sum(self._hear() for _ in self._processes)
        return audio_s / (time.perf_counter() - start_s)

    def _hear(self) -> float:
        """Return the next word of any process; fail if one has died."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s and not any(one.exitcode for one in self._processes):
            try:
                return float(self._told.get(timeout=1.0))
            except Empty:
                continue
        raise RuntimeError("a copy of coqui-tts died, or takes for ever")


def _speak(device: str, sizes: Sizes, codes: int, go: Event, told: Any) -> None:
    place = torch.device(device)
    half = place.type == "cuda"
    model = drawn_model(place, sizes)
    text_ids = list(range(3, 3 + _TEXT_IDS))
    voice = torch.randn(CONDITIONING, sizes.width, device=place)
    prompt = Prompt(0, text_ids, voice, max_codes=codes)
    embedding = torch.randn(EMBEDDING, device=place)
    stock = Stock(model, half=half)
    stock.speak(prompt, embedding)
    told.put(0.0)
    go.wait()
    for _ in range(3):
        stock.speak(prompt, embedding)
    told.put(3 * codes * CODE_S)
