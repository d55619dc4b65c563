"""Hours of faults: many jobs of mixed sizes through workers that are killed, frozen and cut off.

    python -m tests.bench.soak                                # 10,000 jobs, an hour of faults
    python -m tests.bench.soak --jobs 600 --minutes 3         # the short form

One worker is spared the deaths, so that its memory and descriptors can be watched. Exit code 1
if a job was lost, done twice, or anything was left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from producer import BrokerUnavailable, Job, JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.conftest import WorkerProcess
from tests.integration.faults.crew import Crew
from tests.integration.faults.evidence import Journal, assert_settled

#: Who is killed, and who is only cut off and frozen.
MORTALS: Final = ("one", "two")
SPARED: Final = "spared"

#: Seconds that a worker keeps what it does not renew; how long one is frozen, and the broker away.
LEASE_S: Final = 10.0
FREEZE_S: Final = 14.0
AWAY_S: Final = 3.0

#: Sentences of a job: many short ones, some long ones.
SENTENCES: Final = (1, 1, 1, 1, 2, 2, 3, 5, 8, 40)

#: Between two looks at memory and descriptors.
SAMPLE_S: Final = 2.0

#: For the last jobs to be done when no fault comes any more.
REST_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    at_s: float
    rss_mb: float
    descriptors: int


def look(pid: int, began_s: float) -> Sample:
    """Measure a living process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    rss_mb = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Sample(time.monotonic() - began_s, rss_mb, descriptors)


class Soak:
    """A farm of its own below `home`, and what befalls it."""

    def __init__(self, home: Path, jobs: int, minutes: float, seed: int) -> None:
        self._home = home
        self._wanted = jobs
        self._duration_s = minutes * 60
        self._chance = random.Random(seed)
        self._broker = EmbeddedBroker(home)
        self._url = self._broker.start()
        self._farm = VoiceFarm(self._url, home=home)
        self.journal = Journal(home / "journal")
        self._workers: dict[str, WorkerProcess] = {}
        self.faults: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.jobs: list[Job] = []
        self.refused = 0
        self._began_s = 0.0

    def run(self) -> None:
        """Do it all; `AssertionError` if a promise was broken."""
        try:
            with Crew(self._start, [*MORTALS, SPARED]) as self._crew:
                self._began_s = time.monotonic()
                stop = threading.Event()
                watcher = threading.Thread(target=self._watch, args=(stop,), daemon=True)
                watcher.start()
                self._storm()
                self._rest()
                stop.set()
                watcher.join()
        finally:
            for worker in self._workers.values():
                with suppress(ProcessLookupError):
                    os.killpg(worker.process.pid, signal.SIGKILL)
            self._farm.close()
            self._broker.stop()

    def _start(self, name: str) -> WorkerProcess:
        settings = {
            "broker_url": self._url,
            "home": self._home,
            "engine": "fake",
            "engine_process": "own" if name == SPARED else "inline",
            "fake_speed": 20,
            "fake_journal": self.journal.file,
            "hang_s": 5,
            "lease_s": LEASE_S,
            "slots": 8,
        }
        environment = {f"VOICEFARM_{key.upper()}": str(value) for key, value in settings.items()}
        log = self._home / f"{name}.log"
        worker = WorkerProcess({**os.environ, **environment}, log, "-n", f"{name}@soak")
        self._workers[name] = worker
        return worker

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_S):
            self.samples.append(look(self._workers[SPARED].process.pid, self._began_s))

    def _storm(self) -> None:
        """Submit evenly, and have a fault every few seconds."""
        faults: list[Callable[[], None]] = [
            *(self._kill, self._kill, self._cut, self._cut),
            *(self._freeze, self._drain, self._kill_engine, self._restart_broker),
        ]
        next_fault_s = 5.0
        while len(self.jobs) < self._wanted:
            elapsed_s = time.monotonic() - self._began_s
            due = min(self._wanted, int(self._wanted * elapsed_s / self._duration_s) + 1)
            self._submit(due - len(self.jobs))
            if elapsed_s >= next_fault_s:
                fault = self._chance.choice(faults)
                fault()
                self.faults[fault.__name__.strip("_")] += 1
                next_fault_s = elapsed_s + self._chance.uniform(2.0, 8.0)
            time.sleep(0.2)

    def _submit(self, count: int) -> None:
        texts = []
        for number in range(len(self.jobs), len(self.jobs) + count):
            sentences = range(self._chance.choice(SENTENCES))
            texts.append(" ".join(f"This is sentence {n} of job {number}." for n in sentences))
        try:
            self.jobs += self._farm.submit_many(texts) if texts else []
        except BrokerUnavailable:
            self.refused += 1

    def _kill(self) -> None:
        self._crew.kill(self._chance.choice(MORTALS))

    def _cut(self) -> None:
        with suppress(redis.RedisError):
            for kind in ("normal", "pubsub"):
                self._farm.broker.redis.client_kill_filter(_type=kind, skipme=True)

    def _freeze(self) -> None:
        group = self._workers[self._chance.choice([*MORTALS, SPARED])].process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGSTOP)
            threading.Timer(FREEZE_S, _thaw, [group]).start()

    def _drain(self) -> None:
        with suppress(ProcessLookupError):
            self._workers[self._chance.choice(MORTALS)].process.terminate()

    def _kill_engine(self) -> None:
        for pid in _children(self._workers[SPARED].process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _restart_broker(self) -> None:
        with redis.Redis.from_url(self._url) as client:
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
        time.sleep(AWAY_S)
        self._broker = EmbeddedBroker(self._home)
        self._broker.start()

    def _rest(self) -> None:
        """Let everything end, and look at what is there; a refused submit may have its rows."""
        deadline_s = time.monotonic() + REST_S
        while sum(n for state, n in self._farm.counts().items() if not state.is_final):
            assert time.monotonic() < deadline_s, f"not done: {self._farm.counts()}"
            time.sleep(0.5)
        assert_settled(self._farm, [self._farm.job(row.id) for row in self._done()])

    def _done(self) -> list[object]:
        rows = self._farm.recent(JobState.DONE, 10 * self._wanted)
        assert {job.id for job in self.jobs} <= {row.id for row in rows}
        return rows


def _thaw(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(Path(directory), options.jobs, options.minutes, options.seed)
        began_s = time.monotonic()
        soak.run()
        chunks = soak.journal.chunks_begun()
    third = max(1, len(soak.samples) // 3)
    print(f"{len(soak.jobs)} jobs acknowledged, all done, in {time.monotonic() - began_s:.0f} s")
    again = sum(n > 1 for n in chunks.values())
    print(f"{again} of {len(chunks)} chunks computed again; {soak.refused} submits refused")
    print("faults: " + ", ".join(f"{name} {n}" for name, n in sorted(soak.faults.items())))
    for name, part in (("first", soak.samples[:third]), ("last", soak.samples[-third:])):
        rss_mb = sum(sample.rss_mb for sample in part) / len(part)
        descriptors = max(sample.descriptors for sample in part)
        print(f"spared worker, {name} third: {rss_mb:.1f} MB, at most {descriptors} descriptors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
