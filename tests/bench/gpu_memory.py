"""What the driver tells of a real GPU, and an engine that runs out of its memory and goes on.

    python -m tests.bench.gpu_memory                # one GPU, about a minute
    python -m tests.bench.gpu_memory --described    # no GPU: a tiny model, and no limit

Torch's own limit keeps the engine from the memory that it would need for all rows that end in one
step. Exit code 1 if anything is not as promised.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from producer import JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.bench.gpu_scene import FEW_LAYERS, LOAD_LIMIT_S, until, write_models
from tests.bench.sections import Sections
from tests.conftest import WorkerProcess
from worker.engine.engine import Engine
from worker.engine.request import ChunkRequest
from worker.engine.xtts.model import XttsModel
from worker.gpus import refusal
from worker.nvml import nvml_source

#: Rows that end in one step: 10 MB of latents each. And of the tiny model on a processor.
ROWS: Final = 256
FEW_ROWS: Final = 4

#: What is left to an engine above what it has taken to be ready. [bytes]
MARGIN_BYTES: Final = 256 << 20

#: For a batch of the longest takes.
TAKES_LIMIT_S: Final = 120.0

#: What the vocoder says when its batch has to end.
_HALVED: Final = "no memory for one utterance more"


def sentence(number: int) -> str:
    """Nearly as long as a chunk may be, so that each sentence is one."""
    return f"this is sentence number {number} of a long story that goes on and on " * 3


class Memory:
    """One checkpoint, spoken with and without a limit."""

    def __init__(self, home: Path, *, described: bool) -> None:
        self._home = home
        self._described = described
        self._rows = FEW_ROWS if described else ROWS
        self._device: str = "cpu" if described else "cuda"
        self._peak_bytes = 0
        self._wanted: list[str] = []

    def write(self) -> None:
        """Write the checkpoint."""
        write_models(self._home, None if self._described else FEW_LAYERS)

    def ready(self) -> None:
        """Load, which tells what an engine needs before it says a word."""
        with self._engine():
            self._tell_ready()

    def free(self) -> bool:
        """Speak with all the memory there is: what the takes are, and what they need."""
        with self._engine() as engine:
            self._tell_ready()
            self._wanted = self._spoken(engine)
            self._tell(f"{self._rows} takes done")
        return len(set(self._wanted)) == self._rows

    def limited(self) -> bool:
        """The same takes when not all of them fit beside each other: bit for bit."""
        heard = Heard()
        logging.getLogger("worker.engine").addHandler(heard)
        with self._engine() as engine:
            if not self._described:
                torch.cuda.empty_cache()
                limit(torch.cuda.memory_reserved() + MARGIN_BYTES)
            found = self._spoken(engine)
            self._tell(f"{self._rows} takes done")
            facts = engine.snapshot()
        logging.getLogger("worker.engine").removeHandler(heard)
        same = sum(one == other for one, other in zip(found, self._wanted, strict=True))
        halved = sum(_HALVED in line for line in heard.lines)
        print(f"   the batch was cut {halved} times, {same} takes of {len(found)} are the same")
        print(f"   the engine: {facts}")
        return same == len(found) and (self._described or halved > 0)

    def worker(self) -> bool:
        """A worker with that limit from the start: its jobs are all done."""
        broker = EmbeddedBroker(self._home)
        url = broker.start()
        settings = {
            "BROKER_URL": url,
            "HOME": str(self._home),
            "ENGINE": "xtts",
            "DEVICE": self._device,
            "GUARD": "false",
            "SLOTS": str(self._rows),
            "INTERACTIVE_SHARE": "0",
        }
        environment = {f"VOICEFARM_{name}": value for name, value in settings.items()}
        if not self._described:
            share = (self._peak_bytes + MARGIN_BYTES) / torch.cuda.mem_get_info()[1]
            environment["PYTORCH_CUDA_ALLOC_CONF"] = f"per_process_memory_fraction:{share:.5f}"
            print(f"   its engine may have {share:.2%} of the card")
        log = self._home / "worker.log"
        worker = WorkerProcess({**os.environ, **environment}, log, "-n", "narrow@bench")
        try:
            return self._jobs_done(url, log, worker)
        finally:
            worker.stop()
            broker.stop()

    def _jobs_done(self, url: str, log: Path, worker: WorkerProcess) -> bool:
        with VoiceFarm(url, home=self._home) as farm:

            def ready() -> bool:
                assert worker.process.poll() is None, log.read_text()[-3000:]
                return "phase=ready" in log.read_text()

            until(ready, LOAD_LIMIT_S, "the worker")
            began_s = time.monotonic()
            sentences = [[sentence(n) for n in range(self._rows)] for _ in range(2)]
            texts = [f"{number}. " + ". ".join(part) for number, part in enumerate(sentences)]
            jobs = [*farm.submit_many(texts), farm.submit("And one short job.")]
            states = [job.wait(TAKES_LIMIT_S) for job in jobs]
            rows = [job.row() for job in jobs]
        halved = log.read_text(errors="replace").count(_HALVED)
        chunks = sum(row.chunks_done for row in rows)
        audio_s = sum(row.duration_s for row in rows)
        print(f"   {states.count(JobState.DONE)} jobs of {len(jobs)} done: {chunks} chunks")
        took_s = time.monotonic() - began_s
        print(f"   {audio_s:.0f} s of audio in {took_s:.1f} s, the batch was cut {halved} times")
        for row in rows:
            if row.detail:
                print(f"   {row.detail}")
        return set(states) == {JobState.DONE} and (self._described or halved > 0)

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        directory = self._home / "models" / "xtts"
        model = XttsModel(directory, device=self._device, slots=self._rows, guarded=False)
        engine = Engine(model, slots=self._rows, interactive_share=0.0)
        engine.start()
        try:
            engine.ready.result(LOAD_LIMIT_S)
            yield engine
        finally:
            engine.close()
            if not self._described:
                torch.cuda.set_per_process_memory_fraction(1.0)

    def _spoken(self, engine: Engine) -> list[str]:
        """Speak one chunk in every row; return the hashes of their samples."""
        requests = [ChunkRequest(str(n), sentence(n), "en", "alice", n) for n in range(self._rows)]
        futures = [engine.submit(request) for request in requests]
        takes = [future.result(TAKES_LIMIT_S) for future in futures]
        return [hashlib.sha256(take.samples.tobytes()).hexdigest() for take in takes]

    def _tell_ready(self) -> None:
        self._tell("ready")
        self._peak_bytes = 0 if self._described else torch.cuda.max_memory_reserved()

    def _tell(self, what: str) -> None:
        if not self._described:
            now, most = torch.cuda.memory_reserved(), torch.cuda.max_memory_reserved()
            print(f"   {what}: {now / 2**20:.0f} MiB, {most / 2**20:.0f} MiB at most", flush=True)


class Heard(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def limit(most_bytes: int) -> None:
    """Keep this process from reserving more on its GPU."""
    total_bytes = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(most_bytes / total_bytes)
    print(f"   limited to {most_bytes / 2**20:.0f} MiB of {total_bytes / 2**20:.0f}", flush=True)


def card() -> bool:
    """What NVML tells of this machine's GPUs, beside what torch knows of the first."""
    source = nvml_source()
    good = bool(source.gpus())
    for gpu in source.gpus():
        reading = source.reading(gpu.uuid)
        print(f"   {gpu.words}, {gpu.uuid}: {reading}; {refusal(gpu) or 'fit'}")
        good = good and reading is not None and bool(reading.used_bytes)
        good = good and reading is not None and 0 < (reading.temperature_c or 0) < 120
    seen = torch.cuda.get_device_properties(0)
    first = {gpu.uuid: gpu for gpu in source.gpus()}[f"GPU-{seen.uuid}"]
    same = (first.name, first.capability) == (seen.name, (seen.major, seen.minor))
    near = abs(first.memory_bytes - seen.total_memory) < 0.05 * seen.total_memory
    print(f"   torch: {seen.name}, {seen.total_memory / 2**30:.1f} GiB, GPU-{seen.uuid}")
    return good and near and same


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--described", action="store_true", help="without a GPU")
    parser.add_argument("--only", choices=["worker"], help="leave the other sections out")
    options = parser.parse_args()
    sections = Sections(limit_s=150.0)
    with tempfile.TemporaryDirectory() as name:
        memory = Memory(Path(name) / "farm", described=options.described)
        if not options.described and not options.only:
            sections.run("what NVML tells", card)
        sections.run("a checkpoint", memory.write)
        if options.only:
            sections.run("what an engine takes", memory.ready)
        else:
            sections.run("takes with all the memory", memory.free)
            sections.run("takes within a limit", memory.limited)
        sections.run("a worker within a limit", memory.worker)
    sections.show()
    return bool(sections.failed)


if __name__ == "__main__":
    sys.exit(main())
