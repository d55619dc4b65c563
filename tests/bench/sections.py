"""Sections of a benchmark: each tells what it found, and one that fails stops no other."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable

import torch


class Sections:
    """Runs sections one after the other, and prints what they measured together at the end."""

    def __init__(self, limit_s: float) -> None:
        """Nothing is begun later than `limit_s`."""
        self._start_s = time.perf_counter()
        self._limit_s = limit_s
        self._rows: list[tuple[str, float]] = []
        self.failed: list[str] = []

    @property
    def late_s(self) -> float:
        """How long ago they were begun."""
        return time.perf_counter() - self._start_s

    def run(self, title: str, work: Callable[[], bool | float | None]) -> None:
        """Run one section unless it is too late. False is a failure, a number is a speed."""
        late_s = self.late_s
        if late_s > self._limit_s:
            print(f"== {title}: left out after {late_s:.0f} s", flush=True)
            return
        print(f"== {title}", flush=True)
        try:
            found = work()
        except Exception:  # noqa: BLE001 - the end of one section is not that of the others
            traceback.print_exc(file=sys.stdout)
            found = False
        if found is False:
            self.failed.append(title)
        if isinstance(found, float):
            self._rows.append((title, found))
        took_s = self.late_s - late_s
        print(f"   {'FAILED' if found is False else 'ok'}, {took_s:.1f} s", flush=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def show(self) -> None:
        """Print all speeds together, and what failed."""
        print()
        for title, speed in self._rows:
            print(f"{title:64} {speed:8.1f} x")
        print(f"failed: {', '.join(self.failed) or 'none'}")
