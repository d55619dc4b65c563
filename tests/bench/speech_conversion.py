"""Text -> XTTS -> RVC in one engine on one GPU: how fast, and within how much memory.

    python -m tests.bench.speech_conversion                     # all that the GPU has
    python -m tests.bench.speech_conversion --limit-gb 12       # as on a card of 12 GB
    python -m tests.bench.speech_conversion --tiny              # that it runs, without a GPU
    python -m tests.bench.speech_conversion --profile           # and where the time goes
    python -m tests.bench.speech_conversion --mean 6 --voices 1 # chunks like the farm's jobs

True shapes, random weights: the speed is true, the sound is noise. Chunks of 2 to 20 s keep all
slots busy, each converted by `rmvpe` and an index rate of 0.75 into one of eight voices with an
index of 100,000 vectors. The whole `Engine` runs: scheduler, decoder, vocoder, shelf of voices and
converter; samples are counted when they are on the host. With a limit, the GPU is told to be
smaller: torch may take no more, and whoever asks how much is free hears what is left of it.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import torch

from worker.engine.engine import Engine
from worker.engine.request import ChunkRequest, ConversionRequest, Take

from .conversion_profile import ConversionProfile
from .random_engine import VOICES, RandomRvc, RandomXtts
from .rvc_networks import TINY_SHAPES, TRUE_SHAPES

#: Codes that a second of speech has.
_CODES_PER_S = 21.5

#: Codes of the shortest and of the longest chunk: 2 and 20 s.
_CODES = (43, 430)
_TINY_CODES = (8, 20)

#: What a process holds on a GPU beside what torch allocates: context, kernels, cuBLAS, cuDNN.
_OUTSIDE_BYTES = 1_000_000_000

#: Of the longest chunk of any bench, as of XTTS: 28 s.
_MOST_CODES = 600


def codes_of(given: argparse.Namespace) -> Callable[[random.Random], int]:
    """Return what draws how many codes a chunk has."""
    if given.mean is not None:
        mean = given.mean * _CODES_PER_S
        return lambda draw: min(_MOST_CODES, 1 + int(draw.expovariate(1 / mean)))
    low, high = _TINY_CODES if given.tiny else _CODES
    if given.seconds is not None:
        low = high = round(given.seconds * _CODES_PER_S)
    return lambda draw: draw.randint(low, high)


class Load:
    """Keeps an engine busy, and counts what comes out of it."""

    def __init__(
        self, engine: Engine, codes: Callable[[random.Random], int], voices: int, waiting: int
    ) -> None:
        self._engine = engine
        self._codes = codes
        self._voices = voices
        self._waiting = waiting
        self._lengths = random.Random(1)
        self._lock = threading.Lock()
        self._number = self._open = 0
        self._is_over = False
        self.audio_s = 0.0
        self.takes = 0
        self.failures: Counter[str] = Counter()

    def run(self, settling_s: float, timed_s: float, least: int) -> float:
        """Return the seconds of audio that come out in a second; at least so many takes."""
        for _ in range(self._waiting):
            self._submit()
        time.sleep(settling_s)
        while self.takes < least and not self.failures:
            time.sleep(0.1)
        before_s, start_s = self.audio_s, time.perf_counter()
        time.sleep(timed_s)
        while self.takes < 2 * least and not self.failures:
            time.sleep(0.1)
        return (self.audio_s - before_s) / (time.perf_counter() - start_s)

    def end(self, timeout_s: float = 60.0) -> int:
        """Let what is under way end; return how many have not."""
        self._is_over = True
        until_s = time.perf_counter() + timeout_s
        while self._open and time.perf_counter() < until_s:
            time.sleep(0.05)
        return self._open

    def _submit(self) -> None:
        with self._lock:
            number = self._number
            self._number += 1
            self._open += 1
            codes = self._codes(self._lengths)
        conversion = ConversionRequest(f"voice-{number % self._voices}", seed=number)
        voice = f"speaker-{number // 3 % VOICES}"
        request = ChunkRequest(
            str(number), str(codes), "en", voice, seed=number, conversion=conversion
        )
        self._engine.submit(request).add_done_callback(self._done)

    def _done(self, future: Future[Take]) -> None:
        error = future.exception()
        with self._lock:
            self._open -= 1
            if error is None:
                self.takes += 1
                self.audio_s += future.result().duration_s
            else:
                self.failures[f"{type(error).__name__}: {error}"[:200]] += 1
        if not self._is_over:
            self._submit()


def main() -> int:
    """Load, keep busy, print; 1 if a chunk has failed or not ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--slots", type=int, default=None, help="default: the model's own choice")
    parser.add_argument("--limit-gb", type=float, default=None, help="of memory, 10^9 bytes")
    parser.add_argument("--vectors", type=int, default=None)
    parser.add_argument("--settle", type=float, default=None, help="s before the measurement")
    parser.add_argument("--time", type=float, default=None, help="s of the measurement")
    parser.add_argument("--profile", action="store_true", help="watch it behind the measurement")
    parser.add_argument("--no-graphs", action="store_true", help="for the voices' networks")
    parser.add_argument("--seconds", type=float, default=None, help="of every chunk")
    parser.add_argument("--mean", type=float, default=None, help="s of chunks that end by chance")
    parser.add_argument("--voices", type=int, default=VOICES, help=f"that are used, of {VOICES}")
    given = parser.parse_args()
    is_gpu = torch.cuda.is_available()
    if given.limit_gb is not None and is_gpu:
        _make_smaller(given.limit_gb)
    shapes = TINY_SHAPES if given.tiny else TRUE_SHAPES
    shapes = replace(shapes, vectors=given.vectors or shapes.vectors)
    slots = given.slots or (2 if given.tiny else None)
    profile = ConversionProfile() if given.profile else None
    engine = Engine(
        RandomXtts(2 if given.tiny else 30, slots),
        RandomRvc(shapes, graphs=not given.no_graphs),
        interactive_share=0,
    )
    name = torch.cuda.get_device_name() if is_gpu else "cpu"
    limit = f", {given.limit_gb} GB" if given.limit_gb else ""
    print(f"{name}{limit}, torch {torch.__version__}", flush=True)
    started_s = time.perf_counter()
    engine.start()
    offer = engine.ready.result(600)
    print(
        f"   ready after {time.perf_counter() - started_s:.0f} s, {offer.slots} slots", flush=True
    )
    # Some are converted while others have their slots, and some wait.
    waiting = offer.slots + offer.slots // 4 + min(offer.slots, 64)
    load = Load(engine, codes_of(given), given.voices, waiting)
    settling_s, timed_s = given.settle, given.time
    if settling_s is None:
        settling_s = 0.0 if given.tiny else 8.0
    if timed_s is None:
        timed_s = 0.0 if given.tiny else 10.0
    speed = load.run(settling_s, timed_s, 2 if given.tiny else 20)
    print(f"   text -> XTTS -> RVC: {speed:.0f} x real time", flush=True)
    if profile is not None:
        profile.watch(0.5 if given.tiny else 4.0)
    left = load.end()
    print(f"   {load.takes} chunks ended well, {left} did not end", flush=True)
    for words, count in load.failures.items():
        print(f"   {count} failed: {words}", flush=True)
    for fact, value in engine.snapshot().items():
        if str(fact).startswith("rvc_"):
            print(f"   {fact}: {value}")
    if is_gpu:
        _tell_memory()
    engine.close()
    return 1 if left or load.failures else 0


def _make_smaller(limit_gb: float) -> None:
    """Have this GPU be one of so many 10^9 bytes, for torch and for those who ask what is free."""
    torch.zeros(1, device="cuda")
    total_bytes = torch.cuda.mem_get_info()[1]
    torch_bytes = int(limit_gb * 1e9) - _OUTSIDE_BYTES
    torch.cuda.set_per_process_memory_fraction(torch_bytes / total_bytes)

    def asked(_device: object = None) -> tuple[int, int]:
        return torch_bytes - torch.cuda.memory_reserved(), torch_bytes

    torch.cuda.mem_get_info = asked


def _tell_memory() -> None:
    free_bytes, total_bytes = torch.cuda.cudart().cudaMemGetInfo(0)
    print(
        f"   torch reserved {torch.cuda.max_memory_reserved() / 1e9:.2f} GB at most, allocated "
        f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB; on the GPU "
        f"{(total_bytes - free_bytes) / 1e9:.2f} GB are in use with all else"
    )


if __name__ == "__main__":
    sys.exit(main())
