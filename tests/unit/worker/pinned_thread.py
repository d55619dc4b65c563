"""A thread that keeps to one processor, as all of a pinned worker do."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.conftest import missing
from worker.engine.affinity import PROCESSORS

PINNED = frozenset({min(PROCESSORS)})


def allowed() -> frozenset[int]:
    """The processors that this thread may use now."""
    return frozenset(os.sched_getaffinity(0))


def in_pinned_thread(work: Callable[[], Any]) -> None:
    """Call it in a thread that is pinned before, and has to be behind."""
    if len(PROCESSORS) < 2:
        missing("a second processor")

    def pinned() -> frozenset[int]:
        os.sched_setaffinity(0, PINNED)
        work()
        return allowed()

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(pinned).result() == PINNED
