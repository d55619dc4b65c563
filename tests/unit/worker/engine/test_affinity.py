"""Affinity: a worker's threads share one processor, and what they start has all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import CHECKOUT, missing
from worker.engine.affinity import search_order

PROCESSORS = sorted(os.sched_getaffinity(0))

#: A process that is told its name and the directory of its farm.
PREAMBLE = """
import json, os, subprocess, sys, threading
from contextlib import suppress
from pathlib import Path
from worker.engine import affinity

def mine():
    return sorted(os.sched_getaffinity(0))

def of_all():
    threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    return [sorted(os.sched_getaffinity(thread)) for thread in threads]

def of_child():
    code = "import os; print(sorted(os.sched_getaffinity(0)))"
    return json.loads(subprocess.check_output([sys.executable, "-c", code]))

def pin():
    return affinity.pin(sys.argv[1], Path(sys.argv[2]))
"""

#: It says which processor it keeps to, and keeps it until its input ends.
HOLDER = "print(json.dumps(pin()), flush=True); sys.stdin.read()"

#: It says what its threads and children may use before, in and behind `unpinned`.
WITNESS = """
end = threading.Event()
def start():
    threading.Thread(target=end.wait, daemon=True).start()
start()
found = {"pinned": pin(), "again": pin(), "many": affinity.processors()}
start()
found["threads"], found["child"] = of_all(), of_child()
with affinity.unpinned():
    found["inside"], found["free child"] = mine(), of_child()
    with affinity.unpinned():
        found["within"] = mine()
    found["behind the inner"] = mine()
found["behind"] = mine()
with suppress(KeyError), affinity.unpinned():
    raise KeyError
found["behind an error"] = mine()
affinity.unpin()
found["at last"], found["pinned at last"] = of_all(), affinity.pinned_to()
print(json.dumps(found))
"""

#: It is not pinned, and the processors it may use are others than when it began.
STRANGER = """
everything = mine()
found = []
for allowed in (everything[:1], everything):
    os.sched_setaffinity(0, allowed)
    with affinity.unpinned():
        found.append(mine() == of_child() == allowed)
print(json.dumps(found))
"""

#: The system forbids it.
FORBIDDEN = """
def refuse(*_):
    raise PermissionError
os.sched_setaffinity = refuse
print(json.dumps(pin()), flush=True); sys.stdin.read()
"""

Holder = tuple[subprocess.Popen[str], int | None]


@pytest.fixture(autouse=True)
def _two_processors() -> None:
    if len(PROCESSORS) < 2:
        missing("a second processor")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    """Start a process that pins itself; return it, and the first thing that it says."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str = HOLDER, name: str = "gpu0@host", directory: Path = tmp_path) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + script, name, str(directory)],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_every_thread_keeps_to_one_processor_and_only_what_is_started_unpinned_has_all(start):
    _, found = start(WITNESS)

    one = [found["pinned"]]
    assert found["again"] == found["pinned"]
    assert found["many"] == len(PROCESSORS)
    assert found["threads"] == [one] * 3
    assert found["child"] == one
    assert found["inside"] == found["free child"] == PROCESSORS
    assert found["within"] == found["behind the inner"] == PROCESSORS
    assert found["behind"] == found["behind an error"] == one
    assert found["at last"] == [PROCESSORS] * 3
    assert found["pinned at last"] is None


def test_workers_of_one_farm_share_no_processor_and_one_too_many_keeps_all(start):
    # All of them begin to search at the same one
    held = [start()[1] for _ in PROCESSORS]

    assert sorted(held) == PROCESSORS
    assert start()[1] is None


def test_the_processor_of_a_dead_worker_is_free_again(start):
    first, processor = start()

    first.kill()
    first.wait()

    assert start()[1] == processor


def test_a_process_that_is_not_pinned_is_left_alone_whatever_it_may_use(start):
    assert start(STRANGER)[1] == [True, True]


def test_where_it_is_forbidden_nothing_is_held(start):
    free = start()
    free[0].kill()
    free[0].wait()

    refused = start(FORBIDDEN)

    assert refused[1] is None
    assert start()[1] == free[1]


def test_without_a_place_to_agree_on_nobody_is_pinned(start, tmp_path):
    (tmp_path / "file").touch()

    assert start(directory=tmp_path / "file")[1] is None


@given(st.sets(st.integers(0, 1023), min_size=1), st.text())
def test_each_name_asks_for_every_processor_once_and_always_in_its_order(processors, name):
    order = search_order(sorted(processors), name)

    assert sorted(order) == sorted(processors)
    assert order == search_order(sorted(processors), name)


def test_workers_of_several_names_begin_at_several_processors():
    starts = {search_order(range(32), f"gpu0@{container:012x}")[0] for container in range(32)}

    assert len(starts) > 16
