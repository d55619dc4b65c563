"""`voicefarm up` on the GPUs of one host: each worker on its own, one killed, and grown from none.

    python -m tests.bench.gpu_farm                  # two GPUs, about two minutes
    python -m tests.bench.gpu_farm --described      # no GPU: a tiny model on the processor

The checkpoint has the true format, the published width and random weights, so the engines really
compute on their cards. Exit code 1 if anything is not as promised.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from producer import Job, JobState
from tests.bench.gpu_scene import (
    FEW_LAYERS,
    LIMIT_S,
    LOAD_LIMIT_S,
    GpuFarm,
    environment_of,
    kill,
    until,
    write_models,
)
from tests.bench.sections import Sections
from tests.integration.faults.evidence import assert_settled
from worker.nvml import nvml_source

#: Rows of each worker, and of one on a processor.
SLOTS: Final = 16
FEW_SLOTS: Final = 4

#: Jobs that wait while the farm is to grow: a GPU does some hundred a second.
GROWING: Final = 4000
FEW_GROWING: Final = 12

#: What an engine takes of its card at least: its weights and its rows. [bytes]
LEAST_BYTES: Final = 500 << 20


class Proofs:
    """What is shown, one after the other, on one farm; `rows` are for the table."""

    def __init__(self, farm: GpuFarm) -> None:
        self._farm = farm
        #: Jobs that wait while a worker is killed, and while the farm is to grow.
        self._waiting = 3 * farm.slots
        self._growing = FEW_GROWING if farm.described else GROWING
        self.rows: list[tuple[str, str]] = []
        self._source = nvml_source()
        self._idle_bytes = self._used()

    def fixed(self, sections: Sections) -> None:
        """One worker on each GPU, always."""
        began_s = time.monotonic()
        with self._farm.up("--gpus=all"):
            until(lambda: len(self._farm.ready()) == 2, LOAD_LIMIT_S, "two workers")
            self._row("both workers ready after", began_s)
            sections.run("each worker on its own GPU", self._pinned)
            sections.run("jobs split between both", self._split)
            sections.run("one worker killed", self._killed)
        assert_settled_farm(self._farm)

    def elastic(self, sections: Sections) -> None:
        """As many workers as the backlog needs."""
        # Few layers are fast: a worker does in some seconds all that waits here.
        policy = {"VOICEFARM_SCALE_HORIZON_S": "0.2", "VOICEFARM_SCALE_IDLE_S": "4"}
        with self._farm.up("--gpus=all", "--min=0", **policy):
            sections.run("0 -> 2 -> 0 by backlog", self._grown)
        assert_settled_farm(self._farm)

    def _pinned(self) -> bool:
        workers = self._farm.workers()
        uuids = {name: facts["gpu"]["uuid"] for name, facts in workers.items()}
        good = len(set(uuids.values())) == 2
        for name, facts in sorted(workers.items()):
            engine = environment_of(facts["engine_pid"])["CUDA_VISIBLE_DEVICES"]
            worker = environment_of(facts["pid"])["CUDA_VISIBLE_DEVICES"]
            print(f"   {name}: {facts['engine']} on {facts['device']}, pid {facts['engine_pid']}")
            print(f"      heartbeat: {json.dumps(facts['gpu'])}")
            good = good and engine == worker == facts["gpu"]["uuid"]
        if self._farm.described:
            return good
        used = self._used()
        for name, uuid in sorted(uuids.items()):
            grown = used[uuid] - self._idle_bytes[uuid]
            pids = compute_pids(uuid)
            ours = {workers[other]["engine_pid"] for other in workers} & set(pids)
            print(f"   NVML: {uuid} ({name}) has {grown / 2**30:.1f} GiB more, processes {pids}")
            # In a container NVML may tell the host's process ids, which are not ours.
            good = good and grown > LEAST_BYTES and ours <= {workers[name]["engine_pid"]}
            if not ours:
                print("   (these ids are of another namespace: memory and environment must do)")
        return good

    def _split(self) -> bool:
        began_s = time.monotonic()
        jobs = self._farm.submit(8 * self._farm.slots)
        self._farm.finish()
        doers = self._farm.doers(jobs)
        audio_s = sum(job.row().duration_s for job in jobs)
        took_s = self._row(f"{len(jobs)} jobs done by {doers}, within", began_s)
        print(f"   {audio_s:.0f} s of audio, {audio_s / took_s:.0f} times real time")
        return set(doers) == {"gpu0", "gpu1"} and min(doers.values()) >= len(jobs) // 8

    def _killed(self) -> bool:
        farm = self._farm
        farm.top_up(self._waiting)
        victim = farm.workers()["gpu0"]
        running = partial(self._running_on, "gpu0", farm.slots // 2)
        lost: list[Job] = until(running, LIMIT_S, "running")
        killed_s = kill(victim["pid"])
        until(lambda: all(has_begun_again(job) for job in lost), LIMIT_S, "running again")
        self._row(f"kill -9: its {len(lost)} jobs ran again after", killed_s)

        def replaced() -> bool:
            farm.top_up(self._waiting // 2)
            facts = farm.workers().get("gpu0", {})
            return facts.get("pid") not in (None, victim["pid"]) and facts["state"] == "ready"

        until(replaced, LOAD_LIMIT_S, "replaced")
        self._row("kill -9: another worker was ready on that GPU after", killed_s)
        later = farm.submit(2 * self._waiting)
        farm.finish()
        doers = farm.doers(later)
        print(f"   {len(farm.jobs)} jobs done in all; the last {len(later)} by {doers}")
        uuid = farm.workers()["gpu0"]["gpu"]["uuid"]
        return doers.get("gpu0", 0) > 0 and uuid == victim["gpu"]["uuid"]

    def _grown(self) -> bool:
        farm = self._farm
        assert farm.workers() == {}
        began_s = time.monotonic()
        first = len(farm.jobs)
        farm.submit(self._growing)
        for count in (1, 2):
            until(self._fed(lambda count=count: len(farm.ready()) >= count), LOAD_LIMIT_S, "grown")
            self._row(f"from the first job to {count} ready after", began_s)
        jobs = farm.submit(self._growing)
        farm.finish()
        doers = farm.doers(jobs)
        until(lambda: not farm.workers(), LIMIT_S, "no workers")
        # Waiting for each of thousands of jobs has taken a while itself.
        idle_s = time.time() - max(job.row().times[JobState.DONE] for job in jobs)
        self._row("from the last job to no worker after", time.monotonic() - idle_s)
        print(f"   {len(farm.jobs) - first} jobs, the last {len(jobs)} by {doers}")
        for decision in reversed(farm.client.decisions()):
            print(f"   {decision.action:8} {decision.node.partition('@')[0]:5} {decision.reason}")
        if not farm.described:
            self._tell_freed()
        return set(doers) == {"gpu0", "gpu1"}

    def _tell_freed(self) -> None:
        for uuid, used in self._used().items():
            left = (used - self._idle_bytes[uuid]) / 2**20
            print(f"   NVML: {uuid} holds {left:.0f} MiB more than before the farm")

    def _fed(self, condition: Callable[[], bool]) -> Callable[[], bool]:
        """Ask `condition`, and let the work not end meanwhile."""

        def asked() -> bool:
            self._farm.top_up(self._growing)
            return condition()

        return asked

    def _running_on(self, post: str, least: int) -> list[Job]:
        running = self._farm.client.recent(JobState.RUNNING, 4 * self._farm.slots)
        there = [row.id for row in running if row.node.partition("@")[0] == post]
        return [self._farm.client.job(name) for name in there] if len(there) >= least else []

    def _used(self) -> dict[str, int]:
        readings = {gpu.uuid: self._source.reading(gpu.uuid) for gpu in self._source.gpus()}
        return {uuid: (told.used_bytes or 0) if told else 0 for uuid, told in readings.items()}

    def _row(self, what: str, since_s: float) -> float:
        took_s = time.monotonic() - since_s
        print(f"   {what} {took_s:.2f} s", flush=True)
        self.rows.append((what, f"{took_s:.2f} s"))
        return took_s


def has_begun_again(job: Job) -> bool:
    """Whether another attempt has it, or has had it."""
    row = job.row()
    return row.attempts > 1 or row.state.is_final


def compute_pids(uuid: str) -> list[int]:
    """The processes that compute on a card, as NVML tells."""
    import pynvml

    card = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    return [process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(card)]


def assert_settled_farm(farm: GpuFarm) -> None:
    """Nothing lost, nothing twice; the farm has ended, so its broker is started for the look."""
    from producer import VoiceFarm
    from producer.embedded import EmbeddedBroker

    broker = EmbeddedBroker(farm.home)
    with VoiceFarm(broker.start(), home=farm.home) as client:
        assert_settled(client, [client.job(job.id) for job in farm.jobs])
    broker.stop()
    print(f"   {len(farm.jobs)} jobs: none lost, no file twice", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--described", action="store_true", help="two GPUs that are not there")
    parser.add_argument("--only", choices=("fixed", "elastic"), help="one of the two farms alone")
    parser.add_argument("--limit", type=float, default=200.0, help="seconds to begin sections in")
    options = parser.parse_args()
    sections = Sections(options.limit)
    with tempfile.TemporaryDirectory() as name:
        slots = FEW_SLOTS if options.described else SLOTS
        farm = GpuFarm(Path(name), slots, described=options.described)
        proofs = Proofs(farm)
        sizes = None if options.described else FEW_LAYERS
        sections.run("a checkpoint", lambda: write_models(farm.home, sizes))
        if options.only != "elastic":
            sections.run("a fixed farm", lambda: proofs.fixed(sections))
        if options.only != "fixed":
            sections.run("an elastic farm", lambda: proofs.elastic(sections))
    print(*(f"| {what} | {figure} |" for what, figure in proofs.rows), sep="\n")
    sections.show()
    return bool(sections.failed)


if __name__ == "__main__":
    sys.exit(main())
