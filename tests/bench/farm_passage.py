"""A passage: many jobs through a farm, from the first submit to the last proven file."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from producer import Job, JobState, VoiceFarm
from producer.job_row import JobRow

from .farm_figures import End, of_passage

#: Between two looks at how many are left. [s]
_LOOK_S: Final = 0.1

#: Rows that are read in one round trip, and threads that read files.
_ROWS: Final = 1000
_READERS: Final = 4

#: For what runs to end. [s]
_SETTLE_S: Final = 20.0

#: Of a WAV file's header.
_HEADER_BYTES: Final = 44


def wait_for_all(farm: VoiceFarm, limit_s: float) -> None:
    """Wait until no job of the farm waits or runs."""
    deadline_s = time.monotonic() + limit_s
    while left := sum(n for state, n in farm.counts().items() if not state.is_final):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{left} jobs are left after {limit_s:.0f} s: {farm.counts()}")
        time.sleep(_LOOK_S)


def settle(farm: VoiceFarm) -> None:
    """End all that waits, and let what runs end."""
    waiting = (JobState.QUEUED, JobState.WAITING_WINDOW, JobState.RUNNING)
    if any(farm.counts()[state] for state in waiting):
        for row in farm.ledger.recent(waiting, 10**6):
            farm.ledger.cancel(row.id, time.time())
        wait_for_all(farm, _SETTLE_S)


def rows_of(farm: VoiceFarm, ids: Sequence[str]) -> list[JobRow]:
    """Return the rows of jobs, in order."""
    found: list[JobRow] = []
    for start in range(0, len(ids), _ROWS):
        found += farm.ledger._rows(ids[start : start + _ROWS])
    return found


def flaws_of(farm: VoiceFarm, rows: Iterable[JobRow]) -> list[str]:
    """Read every file again; return what is wrong with jobs and files, in words."""
    with ThreadPoolExecutor(_READERS) as readers:
        return [flaw for flaw in readers.map(lambda row: _flaw(farm, row), rows) if flaw]


def removed(farm: VoiceFarm, rows: Iterable[JobRow]) -> None:
    """Throw files away, so that equal jobs are computed again and the disk does not fill."""
    for row in rows:
        if row.key:
            shutil.rmtree(farm.volumes.entry(row.key), ignore_errors=True)


def figures(farm: VoiceFarm, jobs: Sequence[Job]) -> dict[str, Any]:
    """Return the figures of jobs that have ended, prove their files, and throw these away."""
    rows = rows_of(farm, [job.id for job in jobs])
    done = [row for row in rows if row.state is JobState.DONE]
    ends = [End(row.times[JobState.DONE], row.duration_s) for row in done]
    begun_s = min((row.times[JobState.QUEUED] for row in rows), default=0.0)
    latencies_s = [row.times[JobState.DONE] - row.times[JobState.QUEUED] for row in done]
    found = of_passage(ends, begun_s, latencies_s)
    flaws = flaws_of(farm, rows)
    for flaw in flaws[:5]:
        print(f"   FLAW {flaw}", flush=True)
    again = sum(row.attempts > 1 for row in rows)
    lost = len(jobs) - len(rows)
    states = Counter(row.state.value for row in rows)
    removed(farm, rows)
    return {
        **found, "states": dict(states), "flaws": len(flaws), "lost": lost, "again": again,
        "nodes": dict(Counter(row.node for row in rows)),
    }  # fmt: skip


def _flaw(farm: VoiceFarm, row: JobRow) -> str:
    if row.state is JobState.CANCELLED:
        return ""
    if row.state is not JobState.DONE:
        return f"{row.id} is {row.state}: {row.reason} {row.detail}"
    audio = farm.volumes.locate(row.file).read_bytes()
    if hashlib.sha256(audio).hexdigest() != row.sha256:
        return f"{row.id} has another hash"
    if len(audio) - _HEADER_BYTES != 2 * row.samples or not row.samples:
        return f"{row.id} has {len(audio)} bytes for {row.samples} samples"
    return ""
