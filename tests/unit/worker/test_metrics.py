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
}  # fmt: skip
SIGHT = Sight(
    Backlog(
        jobs={Priority.INTERACTIVE: 1, Priority.BATCH: 40},
        audio_s={Priority.INTERACTIVE: 2.0, Priority.BATCH: 900.0},
        oldest_age_s=33.0,
    ),
    counts=dict.fromkeys(JobState, 4),
)
ARCHITECTURE = Path(__file__).parents[3] / "docs/architecture.md"


def samples(facts=FACTS, sight: Sight | None = SIGHT) -> dict[str, float]:
    """Every number by its name, the label's value behind it."""
    text = exposition(WorkerCollector(lambda: facts, lambda: sight)).decode()
    families = text_string_to_metric_families(text)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
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
