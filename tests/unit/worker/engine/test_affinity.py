"""Affinity: a worker's threads share one processor, and what they start has all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import CHECKOUT, missing
from worker.engine.affinity import PROCESSORS, turned, unpinned

#: A process that pins itself as its first argument says, in a name space of this test's own.
PREAMBLE = """
import json, os, subprocess, sys, threading
from pathlib import Path
from worker.engine import affinity

def of_all():
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    return [sorted(os.sched_getaffinity(thread)) for thread in threads]

def of_child():
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    return json.loads(subprocess.check_output([sys.executable, "-c", code]))

affinity.BERTH = sys.argv[1]
"""

#: It says which processor it keeps to, and keeps it until its input ends.
HOLDER = "print(json.dumps(affinity.pin(sys.argv[2])), flush=True); sys.stdin.read()"

#: It says what its threads and children may use before, in and behind `unpinned`.
WITNESS = """
end = threading.Event()
def start():
    threading.Thread(target=end.wait, daemon=True).start()
start()
found = {"pinned": affinity.pin(sys.argv[2])}
start()
found["threads"], found["child"] = of_all(), of_child()
with affinity.unpinned():
    found["inside"], found["free child"] = sorted(os.sched_getaffinity(0)), of_child()
found["behind"] = sorted(os.sched_getaffinity(0))
print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def _two_processors() -> None:
    if len(PROCESSORS) < 2:
        missing("a second processor")


@pytest.fixture
def berth(tmp_path: Any) -> str:
    """A name space in which nobody else is pinned."""
    return f"{tmp_path}"


@pytest.fixture
def holder(berth: str) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int | None]]]:
    """Start a process that pins itself; return it, and the processor that it keeps to."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> tuple[subprocess.Popen[str], int | None]:
        process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + HOLDER, berth, name],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_every_thread_keeps_to_one_processor_and_only_what_is_started_unpinned_has_all(berth):
    found = json.loads(
        subprocess.check_output(
            [sys.executable, "-c", PREAMBLE + WITNESS, berth, "gpu0@host"], cwd=CHECKOUT
        )
    )

    one, everything = [found["pinned"]], sorted(PROCESSORS)
    assert found["threads"] == [one] * 3
    assert found["child"] == one
    assert found["inside"] == found["free child"] == everything
    assert found["behind"] == one


def test_no_two_processes_share_a_processor_and_one_too_many_keeps_all(holder):
    held = [holder("gpu0@host") for _ in PROCESSORS]

    assert {processor for _, processor in held} == PROCESSORS
    assert holder("gpu0@host")[1] is None


def test_the_processor_of_a_dead_process_is_free_again(holder):
    first, processor = holder("gpu0@host")

    first.kill()
    first.wait()

    assert holder("gpu0@host")[1] == processor


def test_a_process_that_is_not_pinned_is_left_alone():
    with unpinned():
        assert os.sched_getaffinity(0) == PROCESSORS

    assert os.sched_getaffinity(0) == PROCESSORS


@given(st.sets(st.integers(0, 1023), min_size=1), st.text())
def test_each_name_asks_for_every_processor_once_and_always_in_its_order(processors, name):
    order = turned(sorted(processors), name)

    assert sorted(order) == sorted(processors)
    assert order == turned(sorted(processors), name)


def test_workers_of_several_containers_begin_at_several_processors():
    starts = {turned(range(32), f"gpu0@{container:012x}")[0] for container in range(32)}

    assert len(starts) > 16
