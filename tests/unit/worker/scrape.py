"""One scrape of a worker that has everything to tell, for the tests of what reads it."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from producer.backlog import Backlog
from producer.batch.batch_row import BatchRow
from producer.batch.outlook import Outlook
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
BATCH = {"name": "A book", "client": "me", "created_s": "0", "items": "2", "whole": "1"}
SIGHT = Sight(
    Backlog(
        jobs={Priority.INTERACTIVE: 1, Priority.BATCH: 40},
        audio_s={Priority.INTERACTIVE: 2.0, Priority.BATCH: 900.0},
        oldest_age_s=33.0,
    ),
    counts=dict.fromkeys(JobState, 4),
    workers={"gpu0@a": {"state": "ready"}, "gpu1@a": {"state": "ready"}, "b": {"state": "broken"}},
    hosts={"a/1": {"most": 2, "restarts": 6}},
    outlook=Outlook(
        1000.0,
        [BatchRow.decode("b" * 24, BATCH, {"waiting_window": "2", "waiting_window_ms": "500000"})],
        others_s=100.0,
        rates={"gpu0@a": '{"at_s": 1000.0, "rates": {"speech": 10.0}}'},
    ),
)
GPU = ("gpu", "name", "uuid")


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


def told() -> dict[str, set[str]]:
    """The names of all metrics, as they are scraped, with the names of their labels."""
    text = exposition(WorkerCollector(lambda: FACTS, lambda: SIGHT)).decode()
    names: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            names[sample.name] |= set(sample.labels)
    return dict(names)
