"""The stock application, in a worker whose threads keep to one processor, as `taskset` does it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import signals

from .stock import app

__all__ = ["app"]


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def keep_to_one(**_: Any) -> None:
    """Keep all threads, and those to come, to the last processor."""
    last = {max(os.sched_getaffinity(0))}
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), last)
