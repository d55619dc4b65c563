"""The engine alone, in a process without Celery: python -m tests.bench.farm_engine

It speaks the same texts with the same voices and seeds as the farm does, and prints a line of
JSON for each load. Which engine, and how: the settings of a worker, from the environment.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from producer.job import speech_job
from producer.queues import Priority
from worker.config import WorkerSettings
from worker.engine.request import ChunkRequest, Take
from worker.engine.service import SpeechEngine
from worker.engine_choice import make_engine
from worker.speech import plan_speech

from .engine_profile import XTTS_STAGES, EngineProfile
from .farm_figures import End, of_passage
from .farm_texts import jobs

#: Chunks in the engine at the same time, in batches of its size: one waits in line.
_AHEAD: Final = 2

#: Jobs before anything is measured, in batches: what is compiled by its first use is compiled.
WARM_UP: Final = 1.0

#: What is watched has filled the batch by then. [s]
PROFILE_LEAD_S: Final = 3.0


def engine_of(settings: WorkerSettings) -> SpeechEngine:
    """Return the engine of a worker, in this process and not started yet."""
    inline = settings.model_copy(update={"engine_process": "inline"})
    return make_engine(inline, on_room=lambda: None, on_phase=lambda phase, detail: None)


class LoneEngine:
    """An engine that is ready, in this process."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._engine = engine_of(settings)
        self._engine.start()
        self.offer = self._engine.ready.result()
        self._ends: dict[str, End] = {}

    def speak(self, numbers: Sequence[int], convert: str | None) -> dict[str, Any]:
        """Speak the jobs of these numbers; return the figures, and the length of each take."""
        requests = [
            (number, chunk) for number in numbers for chunk in self._chunks(number, convert)
        ]
        self._ends.clear()
        room = threading.Semaphore(_AHEAD * self.offer.slots)
        begun_s = time.monotonic()
        futures = []
        for _, chunk in requests:
            room.acquire()
            future = self._engine.submit(chunk)
            future.add_done_callback(self._noting(chunk.id, room))
            futures.append(future)
        for future in futures:
            future.exception()
        failed = sum(future.exception() is not None for future in futures)
        found = of_passage(list(self._ends.values()), begun_s)
        lengths_s = {
            number: round(self._ends[chunk.id].audio_s, 3)
            for number, chunk in requests
            if chunk.id in self._ends
        }
        return {**found, "failed": failed, "slots": self.offer.slots, "lengths_s": lengths_s}

    def occupy(self, numbers: Sequence[int], is_over: Callable[[], bool]) -> None:
        """Speak these jobs, and again, until it `is_over`: the batch stays full till then."""
        chunks = [chunk for number in numbers for chunk in self._chunks(number, None)]
        ahead = _AHEAD * self.offer.slots
        room = threading.Semaphore(ahead)
        for passage, chunk in (
            (passage, chunk) for passage in itertools.count() for chunk in chunks
        ):
            room.acquire()
            if is_over():
                break
            again = replace(chunk, id=f"{passage}.{chunk.id}")
            self._engine.submit(again).add_done_callback(lambda _: room.release())
        for _ in range(ahead - 1):
            room.acquire()  # As the last of those under way ends.

    def _chunks(self, number: int, convert: str | None) -> Sequence[ChunkRequest]:
        voices = [voice.name for voice in self.offer.voices]
        (fields,) = jobs([number], voices, convert=convert, priority=Priority.BATCH)
        return plan_speech(f"alone{number}", speech_job(**fields), self.offer).chunks

    def _noting(self, name: str, room: threading.Semaphore) -> Callable[[Future[Take]], None]:
        def note(future: Future[Take]) -> None:
            room.release()
            if future.exception() is None:
                self._ends[name] = End(time.monotonic(), future.result().duration_s)

        return note

    def close(self) -> None:
        """End."""
        self._engine.close()


def main(arguments: Sequence[str]) -> None:
    """Speak, and print a line of JSON a load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--converted", type=int, default=0)
    parser.add_argument(
        "--profile-s", type=float, default=0.0, help="watch host and GPU for so long each, behind"
    )
    options = parser.parse_args(arguments)
    if options.profile_s and not options.jobs:
        parser.error("--profile-s needs --jobs, which are spoken again and again meanwhile")
    profile = EngineProfile(XTTS_STAGES, ()) if options.profile_s else None
    begun_s = time.monotonic()
    engine = LoneEngine(WorkerSettings.load())
    ready_s = time.monotonic() - begun_s
    conversion = engine.offer.conversion
    targets = [voice.name for voice in conversion.voices] if conversion else []
    for load, count in (("speech", options.jobs), ("converted", options.converted)):
        if not count:
            continue
        convert = targets[0] if load == "converted" else None
        warm = round(WARM_UP * engine.offer.slots)
        engine.speak(range(10**6, 10**6 + warm), convert)
        told = {"load": load, "ready_s": round(ready_s, 1), "device": engine.offer.device}
        print(json.dumps({**told, **engine.speak(range(count), convert)}), flush=True)
    if profile is not None:
        watch = threading.Timer(PROFILE_LEAD_S, profile.watch, [options.profile_s])
        watch.start()
        engine.occupy(range(options.jobs), lambda: not watch.is_alive())
    engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
