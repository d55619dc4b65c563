"""Metrics: what is known is told, what is not known is left out, and all of it is documented."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from producer.backlog import Backlog
from producer.queues import Priority
from producer.state import JobState
from worker.metrics import Sight, WorkerCollector, exposition

FACTS = {
    "state": "ready", "slots": 8, "active": 2, "waiting": 3, "last_step_age_s": 0.1,
    "takes": 7, "audio_s": 12.5, "failed": 1, "deaths": 2, "restarts": 2,
    "real_time_factor": 21.5, "held": 5, "lost": 1, "retakes": 3,
    "rvc_voices": 2, "rvc_evictions": 4,
    "gpu": {
        "index": 1, "uuid": "GPU-b", "name": "Card", "memory_bytes": 24e9, "used_bytes": 6e9,
        "temperature_c": 71, "throttling": ["power_cap", "thermal_hardware"],
    },
}  # fmt: skip
SIGHT = Sight(
    Backlog(
        jobs={Priority.INTERACTIVE: 1, Priority.BATCH: 40},
        audio_s={Priority.INTERACTIVE: 2.0, Priority.BATCH: 900.0},
        oldest_age_s=33.0,
    ),
    counts=dict.fromkeys(JobState, 4),
    workers={"gpu0@a": {"state": "ready"}, "gpu1@a": {"state": "ready"}, "b": {"state": "broken"}},
    hosts={"a/1": {"most": 2, "restarts": 6}},
)
GPU = ("gpu", "name", "uuid")
ARCHITECTURE = Path(__file__).parents[3] / "docs/architecture.md"


def samples(facts=FACTS, sight: Sight | None = SIGHT) -> dict[str, float]:
    """Every number by its name, the label's value behind it, but for what names the GPU."""
    text = exposition(WorkerCollector(lambda: facts, lambda: sight)).decode()
    families = text_string_to_metric_families(text)
    return {
        " ".join(
            [sample.name, *(sample.labels[name] for name in sample.labels if name not in GPU)]
        ): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_worker_tells_of_itself_and_of_the_farm():
    told = samples()

    assert told["voicefarm_batch_fill"] == 0.25
    assert told["voicefarm_audio_seconds_total"] == 12.5
    assert told["voicefarm_worker_state ready"] == 1
    assert told["voicefarm_worker_state loading"] == 0
    assert told["voicefarm_backlog_audio_seconds speech.batch"] == 900
    assert told["voicefarm_oldest_job_seconds"] == 33
    assert told["voicefarm_jobs failed"] == 4
    assert told["voicefarm_broker_up"] == 1


def test_a_worker_tells_of_its_gpu():
    told = samples()

    assert told["voicefarm_gpu_memory_used_bytes"] == 6e9
    assert told["voicefarm_gpu_temperature_celsius"] == 71
    assert told["voicefarm_gpu_throttled power_cap"] == 1
    assert told["voicefarm_gpu_throttled thermal_hardware"] == 1


def test_a_gpu_that_is_not_slowed_says_so_and_one_that_is_silent_is_left_out():
    gpu = FACTS["gpu"] | {"throttling": [], "temperature_c": None}

    told = samples(FACTS | {"gpu": gpu})

    assert told["voicefarm_gpu_throttled none"] == 0
    assert not any("temperature" in name for name in told)


def test_a_worker_without_a_gpu_tells_of_none():
    assert not any("gpu" in name for name in samples(FACTS | {"gpu": None}))


def test_the_workers_of_the_farm_are_counted_and_their_restarts():
    told = samples()

    assert told["voicefarm_workers ready"] == 2
    assert told["voicefarm_workers broken"] == 1
    assert told["voicefarm_workers loading"] == 0
    assert told["voicefarm_places a/1"] == 2
    assert told["voicefarm_worker_restarts_total a/1"] == 6
    assert told["voicefarm_leases_lost_total"] == 1
    assert told["voicefarm_retakes_total"] == 3


def test_without_a_broker_the_worker_still_tells_of_itself():
    told = samples(sight=None)

    assert told["voicefarm_broker_up"] == 0
    assert told["voicefarm_takes_total"] == 7
    assert not any("backlog" in name for name in told)


def test_an_engine_that_loads_has_no_slots_to_tell_of():
    told = samples(facts={"state": "loading", "slots": None, "active": 0})

    assert "voicefarm_batch_fill" not in told
    assert "voicefarm_slots" not in told


@pytest.mark.parametrize("name", sorted({name.split()[0] for name in samples()}))
def test_every_metric_is_documented(name):
    assert f"`{name}`" in ARCHITECTURE.read_text()
