"""What a file costs the process of the jobs, made there or by presses: python -m tests.bench.store

Threads store tones of 6 s as fast as they can, as those of a worker do. What counts is
what is left for the worker's other threads: processor time and switches of the process a file.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from producer.content_key import content_key
from producer.job import OutputSpec
from producer.volumes import Volumes
from worker.durability import GroupCommit, sync_of
from worker.manifest import Facts
from worker.pressroom import Pressroom
from worker.store import Store

RATE_HZ: Final = 24_000

FACTS: Final = Facts(
    engine="fake",
    model_revision="1",
    created_at=0.0,
    job={"text": "x" * 100, "voice": "default"},
    timings_s={"waited": 0.1, "computed": 0.2},
    take_samples=(6 * RATE_HZ,),
)

#: How long presses may take to start.
START_S: Final = 30.0


class Threads:
    """Jobs that end all at once, for ever."""

    def __init__(self, room: Pressroom, options: argparse.Namespace) -> None:
        self._room = room
        self._options = options
        self._numbers = count()
        times_s = np.arange(round(options.audio_s * RATE_HZ)) / RATE_HZ
        self._samples = (0.3 * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)

    def store(self, jobs: int) -> None:
        """Store so many files, each its own."""
        with ThreadPoolExecutor(self._options.threads) as threads:
            for stored in [threads.submit(self._one) for _ in range(jobs)]:
                stored.result()

    def _one(self) -> None:
        output = OutputSpec(format=self._options.format)
        key = content_key(number=next(self._numbers))
        with self._room.stage(key, output, RATE_HZ) as draft:
            draft.write(self._samples, RATE_HZ)
            draft.commit(FACTS)


def measured(options: argparse.Namespace, presses: int) -> dict[str, Any]:
    """Store the files with so many presses, and return what that cost."""
    with tempfile.TemporaryDirectory(prefix="voicefarm-store-", dir=options.dir) as home:
        volumes = Volumes(Path(home))
        volumes.make()
        durability = GroupCommit(sync_of(volumes.processed))
        store = Store(volumes, durability)
        store.prepare()
        room = Pressroom(store, volumes.home, most=presses, files_each=4)
        threads = Threads(room, options)
        limit_s = time.monotonic() + START_S
        while len(room.pids) < presses and time.monotonic() < limit_s:
            threads.store(2 * options.threads)
        begun_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        threads.store(options.jobs)
        took_s, after = time.monotonic() - begun_s, resource.getrusage(resource.RUSAGE_SELF)
        room.close()
        durability.close()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
    return {
        "presses": presses,
        "files_per_s": round(options.jobs / took_s),
        "cpu_ms_a_file": round(1000 * cpu_s / options.jobs, 2),
        "switches_a_file": round(switches / options.jobs, 1),
    }


def main(arguments: Sequence[str]) -> None:
    """Measure in turns, and print each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--jobs", type=int, default=3000)
    add("--threads", type=int, default=48)
    add("--audio-s", type=float, default=6.0)
    add("--format", choices=("wav", "flac", "mp3", "opus"), default="wav")
    add("--presses", type=int, nargs="*", default=[0, 1])
    add("--rounds", type=int, default=3)
    add("--dir", type=Path, help="where the volumes are made (a directory for temporary files)")
    options = parser.parse_args(arguments)
    print(f"{os.cpu_count()} processors, {options}", flush=True)
    for _ in range(options.rounds):
        for presses in options.presses:
            print(measured(options, presses), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
