"""One measurement: one contender, from an empty server to its last job."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from redis import Redis

from .contenders import Contender
from .worker_process import WorkerProcess

#: Jobs that run before anything is measured: threads started, code imported, scripts loaded.
WARM_UP_JOBS: Final = 200

#: How often the queue is looked at while it drains: the grain of the drain's time.
_LOOK_S: Final = 0.01

#: How long anything that is waited for may take.
_LIMIT_S: Final = 300.0

#: How long a worker may take to answer.
_ANSWER_S: Final = 10.0


@dataclass(frozen=True)
class Load:
    """How much work one measurement is."""

    #: Jobs that are queued at once.
    queued: int
    #: How many of them are run.
    drained: int
    #: Jobs submitted one by one, and how many of them a second.
    steady: int
    steady_per_s: float
    #: Task threads of the worker.
    concurrency: int


@dataclass(frozen=True)
class Burst:
    """Many jobs queued at once, and some of them run."""

    queued: int
    enqueue_s: float
    #: Growth of the server's memory by all waiting jobs.
    waiting_bytes: int
    drained: int
    drain_s: float
    #: Processor time of the worker while it drained.
    drain_cpu_s: float

    @property
    def enqueue_ms(self) -> float:
        """Milliseconds to queue one job."""
        return self.enqueue_s / self.queued * 1000

    @property
    def bytes_per_job(self) -> float:
        """Memory of the server for one waiting job."""
        return self.waiting_bytes / self.queued

    @property
    def job_ms(self) -> float:
        """Milliseconds from job to job while the queue is never empty."""
        return self.drain_s / self.drained * 1000

    @property
    def job_cpu_ms(self) -> float:
        """Milliseconds of the worker's processor time for one job."""
        return self.drain_cpu_s / self.drained * 1000


@dataclass(frozen=True)
class Measurement:
    """What one contender did in one round."""

    contender: str
    round: int
    burst: Burst
    #: From enqueue to start, of each job at the steady rate.
    latencies_ms: list[float]

    def latency_ms(self, percent: int) -> float:
        """Return a percentile of the latencies, 1 .. 99."""
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[percent - 1]


def measure(
    contender: Contender, number: int, load: Load, redis: Redis, directory: Path
) -> Measurement:
    """Run one contender's worker through round `number`, on a server that is emptied first."""
    redis.flushall()
    texts = (f"Job {n} of round {number}: a line of text as long as lines are." for n in count())
    log = directory / f"{contender.name}-{number}.log"
    with WorkerProcess(contender.arguments, contender.environment, log) as worker:
        run = _Run(contender, worker, redis)
        run.warm_up(list(islice(texts, WARM_UP_JOBS)))
        burst = run.burst(list(islice(texts, load.queued)), load.drained)
        latencies_s = run.steady(_paced(islice(texts, load.steady), load.steady_per_s))
    latencies_ms = [round(latency_s * 1000, 3) for latency_s in latencies_s]
    return Measurement(contender.name, number, burst, latencies_ms)


class _Run:
    """A contender with its worker and its server."""

    def __init__(self, contender: Contender, worker: WorkerProcess, redis: Redis) -> None:
        self._contender = contender
        self._worker = worker
        self._redis = redis

    def warm_up(self, texts: list[str]) -> None:
        """Wait for the worker, and have it run some jobs."""
        self._wait_until(self._contender.is_ready)
        self._contender.enqueue(texts)
        self._wait_until(self._is_drained)

    def burst(self, texts: list[str], limit: int) -> Burst:
        """Queue all texts while the worker is frozen, then run `limit` of the jobs."""
        ran, cpu_s = self._so_far()
        with self._worker.frozen():
            memory_bytes = self._memory_bytes()
            begin_s = time.perf_counter()
            self._contender.enqueue(texts)
            enqueue_s = time.perf_counter() - begin_s
            waiting_bytes = self._memory_bytes() - memory_bytes
            # The oldest jobs are at the right end. Of the others nothing is run.
            self._redis.ltrim(self._contender.queues[0], -limit, -1)
        begin_s = time.perf_counter()
        self._wait_until(self._is_drained)
        drain_s = time.perf_counter() - begin_s
        ran_after, cpu_after_s = self._so_far()
        return Burst(
            queued=len(texts),
            enqueue_s=enqueue_s,
            waiting_bytes=waiting_bytes,
            drained=ran_after - ran,
            drain_s=drain_s,
            drain_cpu_s=cpu_after_s - cpu_s,
        )

    def steady(self, texts: Iterable[str]) -> list[float]:
        """Submit at the pace of `texts`; return the seconds from enqueue to start of each."""
        self._contender.submit_steadily(texts)
        self._wait_until(self._is_drained)
        return self._contender.latencies_s()

    def _is_drained(self) -> bool:
        """True if no message waits or is unacknowledged."""
        with self._redis.pipeline(transaction=False) as pipe:
            for queue in self._contender.queues:
                pipe.llen(queue)
            pipe.hlen("unacked")
            return not any(pipe.execute())

    def _so_far(self) -> tuple[int, float]:
        """Return how many jobs of `enqueue` the worker has run, and its processor time in s."""
        inspect = self._contender.app.control.inspect(timeout=_ANSWER_S, limit=1)
        answers = inspect.stats()
        if not answers:
            raise TimeoutError(f"{self._contender.name}: no answer in {_ANSWER_S} s")
        (stats,) = answers.values()
        used = stats["rusage"]
        return stats["total"].get(self._contender.task, 0), used["utime"] + used["stime"]

    def _memory_bytes(self) -> int:
        facts: Any = self._redis.info("memory")
        return int(facts["used_memory"])

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + _LIMIT_S
        while not condition():
            self._worker.check()
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self._contender.name}: no end after {_LIMIT_S} s")
            time.sleep(_LOOK_S)


def _paced(texts: Iterable[str], per_s: float) -> Iterator[str]:
    """Yield `texts` at a steady rate."""
    begin_s = time.monotonic()
    for place, text in enumerate(texts):
        time.sleep(max(0.0, begin_s + place / per_s - time.monotonic()))
        yield text
