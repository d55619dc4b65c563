"""What the proofs on GPUs stand on: a checkpoint in the true format, and a farm of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import torch

from producer import Job, JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from producer.heartbeats import heartbeats
from producer.queues import Beating
from tests.bench.xtts_published import EMBEDDING, Sizes, drawn_model, write_description
from tests.integration.up_process import Up
from tests.unit.worker.engine.xtts.tiny_checkpoint import write_checkpoint
from worker.engine.xtts.weights import CONDITIONING

T = TypeVar("T")

#: The published shapes but for fewer layers: a slot takes a fifth of the memory.
FEW_LAYERS: Final = Sizes(layers=6)

#: For a worker to import, load, compile its kernels for the first time, and warm up.
LOAD_LIMIT_S: Final = 180.0

#: For everything else.
LIMIT_S: Final = 60.0

#: Two cards for a machine without any.
_DESCRIBED: Final = {"name": "Described 24", "memory_gib": 24, "capability": "8.6"}


def write_models(home: Path, sizes: Sizes | None) -> None:
    """Write XTTS-v2 files with random weights; None is the tiny checkpoint of the tests."""
    directory = home / "models" / "xtts"
    if sizes is None:
        write_checkpoint(directory)
        return
    directory.mkdir(parents=True)
    write_description(directory, sizes)
    # On the processor: this process is not to be seen on any GPU.
    state = drawn_model(torch.device("cpu"), sizes).state_dict()
    torch.save({"model": state}, directory / "model.pth")
    voice = {
        "gpt_cond_latent": torch.randn(1, CONDITIONING, sizes.width),
        "speaker_embedding": torch.randn(1, EMBEDDING, 1),
    }
    torch.save({"alice": voice}, directory / "speakers_xtts.pth")


def until(condition: Callable[[], T], limit_s: float, what: str) -> T:
    """Return what `condition` gives as soon as it is true; `TimeoutError` if it never is."""
    deadline_s = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{what}: not within {limit_s:.0f} s")
        time.sleep(0.02)
    return found


class GpuFarm:
    """`voicefarm up` over GPUs, with a client, and all the jobs it was ever given."""

    def __init__(self, directory: Path, slots: int, *, described: bool) -> None:
        self.directory = directory
        self.home = directory / "farm"
        self.slots = slots
        self.described = described
        self.jobs: list[Job] = []
        self._settings = {
            "VOICEFARM_ENGINE": "xtts",
            "VOICEFARM_GUARD": "false",
            "VOICEFARM_SLOTS": str(slots),
            "VOICEFARM_INTERACTIVE_SHARE": "0",
        }
        if described:
            file = directory / "gpus.json"
            file.write_text(json.dumps([_DESCRIBED, _DESCRIBED]))
            self._settings |= {"VOICEFARM_FAKE_GPUS": str(file), "VOICEFARM_DEVICE": "cpu"}
            self._settings |= {"OMP_NUM_THREADS": "1"}
        self.client: VoiceFarm
        self._up: Up

    @contextmanager
    def up(self, *arguments: str, **settings: str) -> Iterator[None]:
        """Run one `voicefarm up` inside the block."""
        self._up = Up(self.home, self.directory, *arguments, **(self._settings | settings))
        try:
            until(self._is_ready, LOAD_LIMIT_S, "the farm is ready")
            with VoiceFarm(EmbeddedBroker.find_url(self.home), home=self.home) as self.client:
                yield
        except BaseException:
            self._tell_logs()
            raise
        finally:
            self._up.process.send_signal(signal.SIGTERM)
            try:
                self._up.process.communicate(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                self._up.process.kill()

    def workers(self) -> dict[str, dict[str, Any]]:
        """What each worker's heartbeat says, by the name of its post."""
        told = heartbeats(self.client.broker.redis, Beating.WORKER)
        return {node.partition("@")[0]: facts for node, facts in told.items()}

    def ready(self) -> set[str]:
        """The posts whose workers take jobs."""
        return {name for name, facts in self.workers().items() if facts["state"] == "ready"}

    def submit(self, count: int) -> list[Job]:
        """Queue so many jobs of one chunk each, no two alike."""
        first = len(self.jobs)
        texts = [f"this is line {number} of a book" for number in range(first, first + count)]
        made = self.client.submit_many(texts)
        self.jobs += made
        return made

    def top_up(self, waiting: int) -> None:
        """Have so many jobs wait."""
        self.submit(max(0, waiting - self.client.counts().get(JobState.QUEUED, 0)))

    def finish(self) -> None:
        """Wait for all jobs."""
        for job in self.jobs:
            assert job.wait(LIMIT_S * 2) is JobState.DONE, job.row()

    def doers(self, jobs: list[Job]) -> dict[str, int]:
        """How many of these jobs each post has done."""
        nodes = [job.row().node.partition("@")[0] for job in jobs]
        return {node: nodes.count(node) for node in sorted(set(nodes))}

    def _is_ready(self) -> bool:
        assert self._up.process.poll() is None, self._up.told
        return "the farm is ready" in self._up.told

    def _tell_logs(self) -> None:
        print(self._up.told)
        for log in sorted((self.home / "logs").glob("gpu*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-25:], sep="\n")


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def kill(pid: int) -> float:
    """Kill a process without a word; return when, on the monotonic clock."""
    at_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return at_s
