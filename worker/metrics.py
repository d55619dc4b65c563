"""What Prometheus reads of a worker, and of the farm as this worker sees it.

Every number is taken when it is asked for. A broker that does not answer leaves out what
only it knows, and `voicefarm_broker_up` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from producer.backlog import Backlog
from producer.batch.outlook import Outlook
from producer.queues import QUEUE_OF
from producer.state import JobState

from .readiness import Readiness

Facts = Mapping[str, Any]


class Sight(NamedTuple):
    """What the broker tells of the farm."""

    backlog: Backlog
    #: Jobs by state.
    counts: Mapping[JobState, int]
    #: The heartbeats of all workers, and of every `up`, by name.
    workers: Mapping[str, Facts] = {}
    hosts: Mapping[str, Facts] = {}
    #: What the batches ask for, and how fast the farm is.
    outlook: Outlook = Outlook(0.0)


#: Facts of the engine, by their name in its snapshot: what they are called and what they say.
GAUGES: Final = {
    "slots": ("voicefarm_slots", "Rows of the batch."),
    "active": ("voicefarm_slots_busy", "Rows that are being computed."),
    "waiting": ("voicefarm_chunks_waiting", "Chunks that wait for a row."),
    "last_step_age_s": ("voicefarm_step_age_seconds", "Time without a step while there is work."),
    "real_time_factor": ("voicefarm_real_time_factor", "Audio a second, while there is work."),
    "held": ("voicefarm_leases_held", "Messages that this worker holds."),
    "rvc_voices": ("voicefarm_rvc_voices", "RVC voices on the shelf."),
}
COUNTERS: Final = {
    "takes": ("voicefarm_takes", "Chunks that were spoken."),
    "audio_s": ("voicefarm_audio_seconds", "Audio that was computed; its rate is times real time."),
    "failed": ("voicefarm_takes_failed", "Chunks that failed."),
    "deaths": ("voicefarm_engine_deaths", "Engine processes that died or were replaced."),
    "restarts": ("voicefarm_engine_restarts", "Engine processes that were started again."),
    "retakes": ("voicefarm_retakes", "Takes that were thrown away for another one."),
    "lost": ("voicefarm_leases_lost", "Messages that were lost while they were held."),
    "rvc_evictions": ("voicefarm_rvc_evictions", "RVC voices that made room for another."),
}
#: Facts of the worker's GPU.
GPU_GAUGES: Final = {
    "memory_bytes": ("voicefarm_gpu_memory_bytes", "Memory of the GPU."),
    "used_bytes": ("voicefarm_gpu_memory_used_bytes", "What is taken of it, by everybody."),
    "temperature_c": ("voicefarm_gpu_temperature_celsius", "How hot the GPU is."),
}


class WorkerCollector(Collector):
    """Reads `facts` of the worker and `sight` of the farm at every scrape."""

    def __init__(self, facts: Callable[[], Facts], sight: Callable[[], Sight | None]) -> None:
        """`sight` returns None where no broker answers."""
        self._facts = facts
        self._sight = sight

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        facts = self._facts()
        yield from _of_worker(facts)
        yield from _of_gpu(facts.get("gpu"))
        for name, (called, says) in GAUGES.items():
            if facts.get(name) is not None:
                yield GaugeMetricFamily(called, says, value=facts[name])
        for name, (called, says) in COUNTERS.items():
            if facts.get(name) is not None:
                yield CounterMetricFamily(called, says, value=facts[name])
        sight = self._sight()
        up = GaugeMetricFamily("voicefarm_broker_up", "1 if the broker answers.")
        up.add_metric([], float(sight is not None))
        yield up
        if sight is not None:
            yield from _of_farm(sight)


def exposition(collector: Collector) -> bytes:
    """Return the text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)


def _of_worker(facts: Facts) -> Iterable[Metric]:
    state = GaugeMetricFamily("voicefarm_worker_state", "1 for the present one.", labels=["state"])
    for name in Readiness:
        state.add_metric([name.value], float(facts["state"] == name))
    yield state
    if facts.get("slots"):
        fill = facts["active"] / facts["slots"]
        yield GaugeMetricFamily("voicefarm_batch_fill", "Busy share of the rows.", value=fill)


def _of_gpu(gpu: Facts | None) -> Iterable[Metric]:
    if gpu is None:
        return
    labels = {"gpu": str(gpu["index"]), "name": str(gpu["name"]), "uuid": str(gpu["uuid"])}
    for name, (called, says) in GPU_GAUGES.items():
        if gpu.get(name) is not None:
            family = GaugeMetricFamily(called, says, labels=[*labels])
            family.add_metric([*labels.values()], gpu[name])
            yield family
    slowed = GaugeMetricFamily(
        "voicefarm_gpu_throttled", "1 while the GPU is slowed down.", labels=[*labels, "reason"]
    )
    reasons = gpu["throttling"] or ["none"]
    for reason in reasons:
        slowed.add_metric([*labels.values(), reason], float(reason != "none"))
    yield slowed


def _of_farm(sight: Sight) -> Iterable[Metric]:
    backlog = sight.backlog
    jobs = GaugeMetricFamily("voicefarm_backlog_jobs", "Jobs that wait.", labels=["queue"])
    audio = GaugeMetricFamily(
        "voicefarm_backlog_audio_seconds", "Audio that waits to be spoken.", labels=["queue"]
    )
    for priority, queue in QUEUE_OF.items():
        jobs.add_metric([queue], backlog.jobs[priority])
        audio.add_metric([queue], backlog.audio_s[priority])
    states = GaugeMetricFamily("voicefarm_jobs", "Jobs in the ledger.", labels=["state"])
    for state, count in sight.counts.items():
        states.add_metric([state.value], count)
    yield from (jobs, audio, states)
    oldest = backlog.oldest_age_s
    yield GaugeMetricFamily("voicefarm_oldest_job_seconds", "Its time in the queue.", value=oldest)
    yield from _of_posts(sight)
    yield from _of_batches(sight.outlook)


def _of_batches(outlook: Outlook) -> Iterable[Metric]:
    """When the batches are done; of which that is not known, nothing is told."""
    left = GaugeMetricFamily(
        "voicefarm_batch_left_audio_seconds", "Audio that it still asks for.", labels=["batch"]
    )
    finish = GaugeMetricFamily(
        "voicefarm_batch_finish_seconds", "Time until it is done.", labels=["batch"]
    )
    for batch in outlook.batches:
        left.add_metric([batch.id], batch.left_s)
        finish_s = outlook.of_batch(batch).finish_s
        if finish_s is not None:
            finish.add_metric([batch.id], finish_s - outlook.now_s)
    yield from (left, finish)


def _of_posts(sight: Sight) -> Iterable[Metric]:
    """Who works, all over the farm."""
    workers = GaugeMetricFamily("voicefarm_workers", "Workers that beat.", labels=["state"])
    states = [facts.get("state") for facts in sight.workers.values()]
    for name in Readiness:
        workers.add_metric([name.value], states.count(name.value))
    places = GaugeMetricFamily("voicefarm_places", "Workers that `up` may start.", labels=["host"])
    restarts = CounterMetricFamily(
        "voicefarm_worker_restarts", "Workers that `up` has started again.", labels=["host"]
    )
    for host, facts in sight.hosts.items():
        places.add_metric([host], float(facts.get("most", 0)))
        restarts.add_metric([host], float(facts.get("restarts", 0)))
    yield from (workers, places, restarts)
