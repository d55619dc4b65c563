"""A real worker that is pinned: its own threads share a processor, its processes have them all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, eventually, facts_of, missing
from worker.engine.affinity import PROCESSORS

pytestmark = pytest.mark.service

PATIENCE_S = 30.0


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """An environment in which no other worker of this machine has taken a processor."""
    if len(PROCESSORS) < 2:
        missing("a second processor")
    site = tmp_path / "site"
    site.mkdir()
    own = f"from worker.engine import affinity; affinity.BERTH = {str(tmp_path)!r}"
    (site / "sitecustomize.py").write_text(own)
    return {"PYTHONPATH": f"{site}{os.pathsep}{CHECKOUT}"}


def of_threads(pid: int) -> set[frozenset[int]]:
    """What the threads of a process may use."""
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads}


def test_the_celery_process_has_one_processor_and_those_that_it_starts_have_all(
    start_worker, farm, alone
):
    # So slow that more files than one are in hand when they end.
    settings = {"engine_process": "own", "fake_speed": 2.0, "slots": 48}
    worker = start_worker(env=alone, **settings)
    jobs = farm.submit_many([{"text": f"Number {n} is spoken."} for n in range(240)])
    assert eventually(lambda: facts_of(farm)["press_pids"], PATIENCE_S)
    for job in jobs:
        job.result(PATIENCE_S)

    facts = facts_of(farm)

    told = re.search(r"keeps to processor (\d+)", worker.log)
    assert told is not None
    assert of_threads(facts["pid"]) == {frozenset({int(told[1])})}
    for pid in (facts["engine_pid"], *facts["press_pids"]):
        assert of_threads(pid) == {PROCESSORS}


def test_a_second_worker_takes_another_processor_and_one_may_have_them_all(
    start_worker, farm, alone
):
    start_worker("first", env=alone)
    start_worker("second", env=alone)
    start_worker("free", env=alone, pinned=False)

    first, second, free = (
        of_threads(facts_of(farm, f"{name}@test")["pid"]) for name in ("first", "second", "free")
    )

    assert len(first) == len(second) == 1
    assert first.isdisjoint(second)
    assert all(len(processors) == 1 for processors in first | second)
    assert free == {PROCESSORS}
