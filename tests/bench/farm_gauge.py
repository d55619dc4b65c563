"""What GPUs, processors and memory do while a farm works, looked at every half second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import RedisError

from producer import BrokerUnavailable

from .farm_up import FarmUp

#: Between two looks. [s]
LOOK_S: Final = 0.5

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Gauge:
    """As a context manager: looks from a thread of its own until the block ends."""

    def __init__(self, up: FarmUp) -> None:
        self._up = up
        self._cards = _cards()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._begun_s = time.monotonic()
        #: One dictionary a look.
        self.looks: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(5)

    def figures(self) -> dict[str, Any]:
        """Return the means and the peaks of the middle eight tenths of the looks."""
        edge = len(self.looks) // 10
        looks = self.looks[edge : len(self.looks) - edge] or self.looks
        names = {name for look in looks for name in look} - {"at_s"}
        means = {name: _mean([look.get(name) for look in looks]) for name in sorted(names)}
        peaks = {
            name: max(look.get(name) or 0 for look in self.looks)
            for name in names
            if name.endswith(("_gib", "_mib"))
        }
        return {**means, **{f"{name}_peak": value for name, value in sorted(peaks.items())}}

    def _run(self) -> None:
        before = self._processes({})
        while not self._stop.wait(LOOK_S):
            try:
                beats = self._up.heartbeats()
            except (RedisError, BrokerUnavailable):
                continue
            now = self._processes(beats)
            self.looks.append(
                {
                    "at_s": round(time.monotonic() - self._begun_s, 2),
                    **_fill(beats),
                    **self._cards_now(),
                    **_uses(before, now),
                }
            )
            before = now

    def _processes(self, beats: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[int, _Process]]:
        pids = {
            "celery": [facts.get("pid") for facts in beats.values()],
            # The thread that takes messages, which is one of Celery's process.
            "loop": [facts.get("pid") for facts in beats.values()],
            "engine": [facts.get("engine_pid") for facts in beats.values()],
            "press": [pid for facts in beats.values() for pid in facts.get("press_pids") or []],
            "client": [os.getpid()],
        }
        return {
            kind: {
                pid: found
                for pid in those
                if pid and (found := _Process.of(pid, alone=kind == "loop"))
            }
            for kind, those in pids.items()
        }

    def _cards_now(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for number, (api, card) in enumerate(self._cards):
            used = api.nvmlDeviceGetUtilizationRates(card).gpu
            found[f"gpu{number}_busy"] = used / 100
            found[f"gpu{number}_gib"] = round(api.nvmlDeviceGetMemoryInfo(card).used / 2**30, 2)
        return found


class _Process:
    """One process at one moment."""

    def __init__(self, at_s: float, cpu_s: float, mib: float, switches: int) -> None:
        self.at_s, self.cpu_s, self.mib, self.switches = at_s, cpu_s, mib, switches

    @classmethod
    def of(cls, pid: int, *, alone: bool = False) -> _Process | None:
        """`alone` is its first thread and no other."""
        threads = Path(f"/proc/{pid}/task")
        try:
            stat = threads / str(pid) / "stat" if alone else Path(f"/proc/{pid}/stat")
            fields = stat.read_text().rpartition(")")[2].split()
            switches = sum(map(_switches, threads.glob(str(pid) if alone else "*")))
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            return None
        ticks = int(fields[11]) + int(fields[12])
        return cls(time.monotonic(), ticks / _TICKS, pages * _PAGE_BYTES / 2**20, switches)


def _uses(
    before: Mapping[str, Mapping[int, _Process]], now: Mapping[str, Mapping[int, _Process]]
) -> dict[str, float]:
    """Return processors in use, switches a second and memory by kind of process."""
    found: dict[str, float] = {}
    for kind, those in now.items():
        pairs = [(then, one) for pid, one in those.items() if (then := before[kind].get(pid))]
        if pairs:
            cpus = sum((one.cpu_s - then.cpu_s) / (one.at_s - then.at_s) for then, one in pairs)
            switches = sum(
                (one.switches - then.switches) / (one.at_s - then.at_s) for then, one in pairs
            )
            found[f"{kind}_cpus"] = round(cpus, 2)
            found[f"{kind}_switches_per_s"] = round(switches)
        found[f"{kind}_mib"] = round(sum(one.mib for one in those.values()), 1)
    return found


def _switches(thread: Path) -> int:
    """Return how often a thread has come onto a processor. Threads that wait for the interpreter
    do nothing else, so this tells how much a worker's threads are in each other's way.
    """
    try:
        lines = (thread / "status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def _fill(beats: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    slots = sum(int(facts.get("slots") or 0) for facts in beats.values())
    if not slots:
        return {}
    active = sum(int(facts.get("active") or 0) for facts in beats.values())
    held = sum(int(facts.get("held") or 0) for facts in beats.values())
    return {"fill": round(active / slots, 3), "held": held}


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else 0.0


def _cards() -> list[tuple[Any, Any]]:
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        return [(pynvml, pynvml.nvmlDeviceGetHandleByIndex(number)) for number in range(count)]
    except Exception:  # noqa: BLE001 - no driver, no cards
        return []
