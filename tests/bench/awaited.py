"""Sentences that somebody waits for, among a book, in the engine: python -m tests.bench.awaited

The mixed load of `python -m tests.bench.farm --only interactive` without Celery: what the farm's
latency would be if it cost nothing, and with `--profile-s` where the time of it goes. The
published shapes on a GPU, small ones on a processor, random weights.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import torch

from producer.job import speech_job
from producer.queues import Priority
from worker.config import WorkerSettings
from worker.engine.request import ChunkRequest, Take
from worker.engine.service import SpeechEngine
from worker.speech import plan_speech

from .engine_profile import XTTS_STAGES, EngineProfile
from .farm_engine import engine_of
from .farm_figures import End, percentiles
from .farm_models import write_xtts
from .farm_texts import SENTENCE_S, jobs

#: The book is in the engine for so long before the first sentence. [s]
LEAD_S: Final = 2.0


class MixedLoad:
    """A book that fills the engine, and sentences that come one by one."""

    def __init__(self, engine: SpeechEngine, seed: int) -> None:
        self._engine = engine
        self._seed = seed
        self._offer = engine.offer()
        self._room = threading.Semaphore(2 * self._offer.slots)
        self._is_over = threading.Event()
        self._book: list[End] = []
        self._sentences: list[tuple[End, float]] = []

    def run(self, count: int, rate_per_s: float) -> dict[str, Any]:
        """Send so many sentences at so many a second in the mean; return the figures."""
        book = threading.Thread(target=self._read_book, daemon=True)
        book.start()
        time.sleep(LEAD_S)
        begun_s, turns = time.monotonic(), self._turns
        draw, due_s, futures = random.Random(self._seed), begun_s, []
        for chunk in self._chunks(10_000 * self._seed, Priority.INTERACTIVE, count):
            due_s += draw.expovariate(rate_per_s)
            time.sleep(max(0.0, due_s - time.monotonic()))
            futures.append(self._send(chunk))
        for future in futures:
            future.result()
        ended_s = time.monotonic()
        turns = self._turns - turns
        self._is_over.set()
        book.join()
        took_s = ended_s - begun_s
        book_s = sum(end.audio_s for end in self._book if begun_s < end.at_s <= ended_s)
        low_s, high_s = SENTENCE_S
        fitting = [waited_s for end, waited_s in self._sentences if low_s <= end.audio_s <= high_s]
        return {
            "sentences": len(fitting),
            "sentences_x": round(sum(end.audio_s for end, _ in self._sentences) / took_s, 1),
            "book_x": round(book_s / took_s, 1),
            "turn_ms": round(1000 * took_s / turns, 2),
            "latency_s": {n: round(v, 3) for n, v in percentiles(fitting).items()},
        }

    @property
    def _turns(self) -> int:
        return int(self._engine.snapshot()["steps"] or 0)

    def _send(self, chunk: ChunkRequest) -> Future[Take]:
        sent_s = time.monotonic()
        future = self._engine.submit(chunk)

        def note(done: Future[Take]) -> None:
            now_s = time.monotonic()
            self._sentences.append((End(now_s, done.result().duration_s), now_s - sent_s))

        future.add_done_callback(note)
        return future

    def _read_book(self) -> None:
        def note(done: Future[Take]) -> None:
            self._room.release()
            self._book.append(End(time.monotonic(), done.result().duration_s))

        futures: deque[Future[Take]] = deque()
        for chunk in self._chunks(10**6 * self._seed, Priority.BATCH, 10**6):
            self._room.acquire()
            if self._is_over.is_set():
                break
            futures.append(self._engine.submit(chunk))
            futures[-1].add_done_callback(note)
        for future in futures:
            future.result()

    def _chunks(self, first: int, priority: Priority, count: int) -> Iterator[ChunkRequest]:
        numbers, voices = range(first, first + count), [one.name for one in self._offer.voices]
        for number, fields in zip(numbers, jobs(numbers, voices, priority=priority), strict=True):
            yield from plan_speech(f"job{number}", speech_job(**fields), self._offer).chunks


def main(arguments: Sequence[str]) -> None:
    """Run the load once for each share, and print a row each."""
    options = _options(arguments)
    home = options.home or Path(tempfile.mkdtemp(prefix="voicefarm-bench-"))
    if not (home / "models" / "xtts").exists():
        write_xtts(home, options.device)
    profile = EngineProfile(XTTS_STAGES, ()) if options.profile_s else None
    for share in options.share:
        settings = WorkerSettings(
            home=home, engine="xtts", device=options.device, guard=False, rvc=False,
            slots=options.slots, awaited_share=share,
        )  # fmt: skip
        engine = engine_of(settings)
        engine.start()
        print(f"{engine.ready.result().device}, {options.slots} slots, share {share}", flush=True)
        MixedLoad(engine, seed=2).run(options.sentences // 4, options.rate)
        if profile is not None:
            # Within a load of its own, which is the slower for it.
            watch = threading.Timer(LEAD_S + 1.0, profile.watch, [options.profile_s])
            watch.start()
            count = round(options.rate * (3 * options.profile_s + 3))
            MixedLoad(engine, seed=3).run(count, options.rate)
            watch.join()
        print(
            {"share": share, **MixedLoad(engine, 1).run(options.sentences, options.rate)},
            flush=True,
        )
        engine.close()


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    is_gpu = torch.cuda.is_available()
    usual = WorkerSettings.model_fields["awaited_share"].default
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.awaited", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cuda" if is_gpu else "cpu")
    add("--home", type=Path, help="where the models lie (a fresh directory)")
    add("--slots", type=int, default=384 if is_gpu else 8)
    add("--share", type=float, nargs="*", default=[usual], help="of the slots left to the book")
    add("--sentences", type=int, default=900 if is_gpu else 40)
    add("--rate", type=float, default=60.0 if is_gpu else 4.0, help="sentences a second")
    add("--profile-s", type=float, default=0.0, help="watch host and GPU for so long each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
