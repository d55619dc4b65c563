"""The morning report: what became of every item, added up and checked, not assumed. Pure."""

from __future__ import annotations

import heapq
import statistics
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..job import SpeechJob
from ..job_row import JobRow
from ..state import JobState
from .batch_row import BatchRow
from .ledger import ItemRow

#: How many of the slowest are told.
SLOWEST: Final = 10

#: Failures that are told one by one; behind them only their number.
SHOWN_FAILURES: Final = 10_000

#: Parts into which the picture of the night cuts its time.
BARS: Final = 96


@dataclass
class Report:
    """All that can be said of a batch from one reading of its items."""

    batch: BatchRow
    #: Items by state, counted here, one by one.
    counts: Counter[str] = field(default_factory=Counter)
    #: What became of the book that was asked for with it; None if none was.
    book: dict[str, Any] | None = None
    #: Items that the ledger has forgotten.
    forgotten: int = 0
    audio_s: float = 0.0
    size_bytes: int = 0
    chars: int = 0
    retakes: int = 0
    trimmed_s: float = 0.0
    #: Items that were begun more than once, and times that a worker vanished with one.
    repeated: int = 0
    losses: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    #: Chunks that were there already.
    reused: int = 0
    #: The longest runs: seconds, item, times real time.
    slowest: list[tuple[float, str, float | None]] = field(default_factory=list)
    #: When each item began and ended its last run, in epoch seconds, and its worker.
    begun_s: array[float] = field(default_factory=lambda: array("d"))
    ended_s: array[float] = field(default_factory=lambda: array("d"))
    nodes: list[str] = field(default_factory=list)
    #: Of each item with audio: times real time; how loud it is, and its loudest sample in dB.
    speeds: array[float] = field(default_factory=lambda: array("d"))
    levels_db: array[float] = field(default_factory=lambda: array("d"))
    peaks_db: array[float] = field(default_factory=lambda: array("d"))

    @property
    def asked(self) -> int:
        """How many items were asked for."""
        return self.batch.items

    @property
    def adds_up(self) -> bool:
        """True if every item has one answer, and the batch's own account says the same."""
        account = {state.value: count for state, count in self.batch.counts.items() if count}
        return (
            not self.forgotten
            and sum(self.counts.values()) == self.asked == sum(account.values())
            and dict(self.counts) == account
        )

    @property
    def working_s(self) -> float:
        """Seconds in which at least one item ran."""
        return _covered_s(zip(self.begun_s, self.ended_s, strict=True))

    @property
    def worker_s(self) -> float:
        """Seconds in which a worker had one of the items, of all workers together.

        A GPU has one worker, so these are GPU-seconds, shared with whatever else ran then.
        """
        runs: dict[str, list[tuple[float, float]]] = {}
        for node, begun_s, ended_s in zip(self.nodes, self.begun_s, self.ended_s, strict=True):
            runs.setdefault(node, []).append((begun_s, ended_s))
        return sum(map(_covered_s, runs.values()))

    @property
    def speed(self) -> float | None:
        """Seconds of audio a second of that time; None if nothing was made."""
        return self.audio_s / self.working_s if self.audio_s and self.working_s else None

    def bars(self) -> list[int]:
        """Return how many items ended in each of `BARS` equal parts of the whole time."""
        bars = [0] * BARS
        if not self.ended_s:
            return bars
        first_s, last_s = min(self.begun_s), max(self.ended_s)
        for ended_s in self.ended_s:
            place = int((ended_s - first_s) / max(last_s - first_s, 1e-9) * BARS)
            bars[min(place, BARS - 1)] += 1
        return bars

    def facts(self) -> dict[str, Any]:
        """Return it plain enough for JSON."""
        return {
            "id": self.batch.id,
            "name": self.batch.name,
            "asked": self.asked,
            "counts": dict(self.counts),
            "forgotten": self.forgotten,
            "adds_up": self.adds_up,
            "audio_s": round(self.audio_s, 3),
            "size_bytes": self.size_bytes,
            "chars": self.chars,
            "working_s": round(self.working_s, 3),
            "speed": self.speed and round(self.speed, 2),
            "worker_s": round(self.worker_s, 3),
            "workers": len(set(self.nodes)),
            "real_time_factor": spread_of(self.speeds),
            "rms_db": spread_of(self.levels_db),
            "peak_db": max(self.peaks_db, default=None),
            "reused": self.reused,
            "first_s": min(self.begun_s, default=None),
            "last_s": max(self.ended_s, default=None),
            "retakes": self.retakes,
            "trimmed_s": round(self.trimmed_s, 3),
            "repeated": self.repeated,
            "losses": self.losses,
            "slowest": [
                {"custom_id": name, "seconds": round(took_s, 3), "real_time_factor": factor}
                for took_s, name, factor in self.slowest
            ],
            "book": self.book,
            "failures": self.failures,
        }


def spread_of(values: Sequence[float]) -> dict[str, float] | None:
    """Return the least, the middle and the greatest of these; None if there is none."""
    if not values:
        return None
    spread = {"least": min(values), "median": statistics.median(values), "greatest": max(values)}
    return {name: round(value, 2) for name, value in spread.items()}


def report(batch: BatchRow, items: Iterable[ItemRow]) -> Report:
    """Read every item once."""
    told = Report(batch)
    for item in items:
        if item.job is None:
            told.forgotten += 1
        else:
            _add(told, item.custom_id, item.job)
    return told


def _add(told: Report, custom_id: str, row: JobRow) -> None:
    told.counts[row.state.value] += 1
    told.retakes += row.retakes
    told.trimmed_s += row.trimmed_s
    told.repeated += row.attempts > 1
    told.losses += row.losses
    told.reused += row.reused
    job = row.job
    text = job.text if isinstance(job, SpeechJob) else ""
    told.chars += len(text)
    if row.state.has_output:
        told.audio_s += row.duration_s
        told.size_bytes += row.size_bytes
        _add_numbers(told, row)
    if row.ran_s is not None:
        told.begun_s.append(row.times[JobState.RUNNING])
        told.ended_s.append(row.times[row.state])
        told.nodes.append(row.node)
        run = (row.ran_s, custom_id, row.real_time_factor)
        told.slowest = heapq.nlargest(SLOWEST, [*told.slowest, run], key=lambda one: one[:2])
    bad = row.state in (JobState.FAILED, JobState.CANCELLED, JobState.SUSPICIOUS)
    if bad and len(told.failures) < SHOWN_FAILURES:
        told.failures.append(
            {
                "custom_id": custom_id or None,
                "id": row.id,
                "state": row.state.value,
                "reason": row.reason or None,
                "detail": row.detail or None,
                "text": text or None,
            }
        )


def _add_numbers(told: Report, row: JobRow) -> None:
    for values, value in (
        (told.speeds, row.real_time_factor),
        (told.levels_db, row.rms_db),
        (told.peaks_db, row.peak_db),
    ):
        if value is not None:
            values.append(value)


def _covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Return how many seconds lie in at least one of these."""
    total_s, until_s = 0.0, float("-inf")
    for begun_s, ended_s in sorted(spans):
        total_s += max(0.0, ended_s - max(begun_s, until_s))
        until_s = max(until_s, ended_s)
    return total_s
