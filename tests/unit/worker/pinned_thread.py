"""A thread that keeps to one processor, as all of a pinned worker do."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.conftest import missing
from worker.engine import affinity

PROCESSORS = frozenset(os.sched_getaffinity(0))
PINNED = min(PROCESSORS)


def allowed(pid: int = 0) -> frozenset[int]:
    """The processors that a process may use now, 0 being this thread."""
    return frozenset(os.sched_getaffinity(pid))


def in_pinned_thread(work: Callable[[], Any]) -> None:
    """Call it in a thread that is pinned before, and has to be behind."""
    if len(PROCESSORS) < 2:
        missing("a second processor")

    def pinned() -> frozenset[int]:
        os.sched_setaffinity(0, {PINNED})
        work()
        return allowed()

    affinity._berths.append(affinity._Berth(PINNED, PROCESSORS, -1))
    try:
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(pinned).result() == {PINNED}
    finally:
        affinity._berths.clear()
