"""What the measurements say: the table, the targets, the record."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from redis import Redis

from .measurement import Load, Measurement

#: One figure of one round: from a contender's measurement and stock Celery's of that round.
Figure = Callable[[Measurement, Measurement], float]

#: The packages that decide the figures.
_PACKAGES: Final = ("celery", "kombu", "redis", "pydantic")


@dataclass(frozen=True)
class Target:
    """What one contender is held to: a figure that is not to be larger than `limit`."""

    contender: str
    words: str
    figure: Figure
    limit: float


def _times_stock_to_enqueue(own: Measurement, stock: Measurement) -> float:
    return own.burst.enqueue_ms / stock.burst.enqueue_ms


def _times_stock_per_job(own: Measurement, stock: Measurement) -> float:
    return own.burst.job_ms / stock.burst.job_ms


def _p50_ms(own: Measurement, _: Measurement) -> float:
    return own.latency_ms(50)


_COLUMNS: Final[tuple[tuple[str, str, Figure], ...]] = (
    ("enqueue, jobs/s", ",.0f", lambda own, _: 1000 / own.burst.enqueue_ms),
    ("time to enqueue, x stock", ".2f", _times_stock_to_enqueue),
    ("drain, jobs/s", ",.0f", lambda own, _: 1000 / own.burst.job_ms),
    ("ms per job", ".2f", lambda own, _: own.burst.job_ms),
    ("time per job, x stock", ".2f", _times_stock_per_job),
    ("worker CPU, ms per job", ".2f", lambda own, _: own.burst.job_cpu_ms),
    ("start p50, ms", ".1f", _p50_ms),
    ("start p99, ms", ".1f", lambda own, _: own.latency_ms(99)),
    ("bytes per waiting job", ",.0f", lambda own, _: own.burst.bytes_per_job),
)

TARGETS: Final = (
    Target("farm, store off", "time per job, x stock", _times_stock_per_job, 1.5),
    Target("farm, store off", "start p50, ms", _p50_ms, 15.0),
    Target("farm, store on", "start p50, ms", _p50_ms, 15.0),
    Target("farm, store off", "time to enqueue, x stock", _times_stock_to_enqueue, 2.0),
    Target("farm, store on", "time to enqueue, x stock", _times_stock_to_enqueue, 2.0),
)


class Report:
    """The measurements of some rounds, with one of `stock` in each."""

    def __init__(self, measurements: Sequence[Measurement], stock: str) -> None:
        self._measurements = measurements
        self._stock = {m.round: m for m in measurements if m.contender == stock}

    def table(self) -> str:
        """Return a Markdown table: a figure a line, the rounds' median and its least and most."""
        names = list(dict.fromkeys(m.contender for m in self._measurements))
        lines = [["", *names], ["---"] + ["---:"] * len(names)]
        lines += [
            [title, *(self._cell(name, form, figure) for name in names)]
            for title, form, figure in _COLUMNS
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def targets(self) -> list[tuple[bool, str]]:
        """Return of each target whether it is met, and the line that tells it."""
        told = []
        for target in TARGETS:
            found = statistics.median(self._values(target.contender, target.figure))
            line = f"{target.contender}: {target.words}: {found:.2f} (at most {target.limit:g})"
            told.append((found <= target.limit, line))
        return told

    def record(self, load: Load, command: str, server: str) -> dict[str, Any]:
        """Return all of it as plain JSON, with what it takes to run it again."""
        return {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
                "server": server,
            },
            "cpus": os.cpu_count(),
            "load": asdict(load),
            "measurements": [asdict(measurement) for measurement in self._measurements],
        }

    def _cell(self, name: str, form: str, figure: Figure) -> str:
        values = self._values(name, figure)
        median, least, most = statistics.median(values), min(values), max(values)
        spread = "" if least == most else f" ({least:{form}} to {most:{form}})"
        return f"{median:{form}}{spread}"

    def _values(self, name: str, figure: Figure) -> list[float]:
        own = [m for m in self._measurements if m.contender == name]
        return [figure(m, self._stock[m.round]) for m in own]


def server_version(redis: Redis) -> str:
    """Return the name and version of the server, which may be Valkey or Redis."""
    facts: Any = redis.info("server")
    name = facts.get("server_name", "redis")
    return f"{name} {facts[f'{name}_version']}"
