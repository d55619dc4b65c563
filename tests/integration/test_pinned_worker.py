"""A real worker that is pinned: its own threads share a processor, its processes have them all."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually, facts_of, missing

pytestmark = pytest.mark.service

PATIENCE_S = 30.0

PROCESSORS = frozenset(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _two_processors() -> None:
    if len(PROCESSORS) < 2:
        missing("a second processor")


def of_threads(pid: int) -> set[frozenset[int]]:
    """What the threads of a process may use."""
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads}


def is_ready(facts: dict[str, Any]) -> dict[str, Any] | None:
    """The facts of a worker that takes jobs."""
    return facts if facts["state"] == "ready" else None


def test_the_celery_process_has_one_processor_and_those_that_it_starts_have_all(start_worker, farm):
    # So slow that more files than one are in hand when they end.
    start_worker(engine_process="own", fake_speed=2.0, slots=48)
    jobs = farm.submit_many([{"text": f"Number {n} is spoken."} for n in range(240)])
    assert eventually(lambda: facts_of(farm)["press_pids"], PATIENCE_S)
    for job in jobs:
        job.result(PATIENCE_S)

    facts = facts_of(farm)

    assert of_threads(facts["pid"]) == {frozenset({facts["processor"]})}
    for pid in (facts["engine_pid"], *facts["press_pids"]):
        assert of_threads(pid) == {PROCESSORS}


def test_a_second_worker_takes_another_processor_and_one_may_have_them_all(start_worker, farm):
    names = ("first", "second")
    for name in names:
        start_worker(name)
    start_worker("free", pinned=False)

    pinned = [facts_of(farm, f"{name}@test") for name in names]
    free = facts_of(farm, "free@test")

    assert len({facts["processor"] for facts in pinned}) == 2
    for facts in pinned:
        assert of_threads(facts["pid"]) == {frozenset({facts["processor"]})}
    assert free["processor"] is None
    assert of_threads(free["pid"]) == {PROCESSORS}


def test_a_worker_that_celery_starts_again_in_its_place_is_pinned_as_the_first(start_worker, farm):
    # At SIGHUP its process becomes another program, which inherits what its threads may use. Of
    # Celery's commands only the script can do so.
    script = str(Path(sys.executable).with_name("celery"))
    worker = start_worker(engine_process="own", program=[script])
    first = facts_of(farm)

    worker.process.send_signal(signal.SIGHUP)
    eventually(lambda: not Path(f"/proc/{first['engine_pid']}").exists(), PATIENCE_S)
    second = eventually(lambda: is_ready(facts_of(farm)), PATIENCE_S)

    assert (second["pid"], second["processor"]) == (first["pid"], first["processor"])
    assert of_threads(second["pid"]) == {frozenset({first["processor"]})}
    assert of_threads(second["engine_pid"]) == {PROCESSORS}
