"""The store that keeps nothing: the same interface, and the facts alone."""

from __future__ import annotations

from shelf import FACTS, KEY, RATE_HZ, WAV, tone

from producer.job import OutputSpec
from worker.null_store import NullStaged, NullStore
from worker.store import Staged, Store


def test_it_gives_the_facts_and_keeps_nothing() -> None:
    store = NullStore()
    store.prepare()

    with store.stage(KEY, OutputSpec(sample_rate_hz=48_000), RATE_HZ) as staged:
        staged.write(tone(0.5), RATE_HZ)
        staged.write(tone(0.25), RATE_HZ)
        entry = staged.commit(FACTS)

    assert entry.path == ""
    assert entry.manifest.duration_s == 0.75
    assert entry.manifest.sample_rate_hz == 48_000
    assert entry.manifest.engine == "fake"
    assert store.find(KEY, WAV.format) is None
    assert not store.verify(entry)


def test_it_can_stand_wherever_the_store_can() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(NullStore) == public(Store)
    assert public(NullStaged) == public(Staged) - {"close", "steps"}
