"""The housekeeper: removes from the volumes and from the ledger what nobody needs any more."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from producer.batch.account import job_id_of
from producer.batch.ledger import BatchLedger
from producer.queues import job_key, state_key
from producer.state import JobState
from producer.volumes import Volumes

from .config import WorkerSettings
from .eviction import PART, EntryShelf, Leavings, UploadShelf
from .log_files import LogFiles
from .store import STAGING, STALE_H
from .take_shelf import TakeShelf
from .tidiness import Thing, over_budget, unused

if TYPE_CHECKING:
    from redis import Redis

_HOUR_S: Final = 3600.0
_DAY_S: Final = 24 * _HOUR_S

#: Rows that are read in one round trip.
_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that goes, or would go."""

    #: What it is: `staging`, `temp`, `part`, `processed`, `take`, `upload`, `log` or `row`.
    kind: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Chore:
    kind: str
    plan: Callable[[], list[Thing]]
    remove: Callable[[Thing], bool]


class Housekeeper:
    """Housekeeping of one farm, as far as it can be seen from this host."""

    def __init__(self, settings: WorkerSettings, redis: Redis) -> None:
        """`redis` returns text."""
        self._settings = settings
        self._redis = redis
        self._volumes = Volumes(settings.home)

    def sweep(self, *, dry_run: bool = False) -> Iterator[Removal]:
        """Remove what may go, and yield it; with `dry_run` remove nothing.

        Raises `OSError` and what the redis client raises; what was removed before stays so.
        """
        now_s = self._volume_time_s()
        for chore in self._chores(now_s, dry_run=dry_run):
            for thing in chore.plan():
                if dry_run or chore.remove(thing):
                    yield Removal(chore.kind, thing.name, thing.size_bytes)
        yield from self._forgotten(dry_run=dry_run)

    def _chores(self, now_s: float, *, dry_run: bool) -> Iterator[_Chore]:
        for kind, leavings in self._leavings():
            yield _Chore(
                kind,
                lambda things=leavings.things: unused(things(), STALE_H * _HOUR_S, now_s),  # type: ignore[misc]
                leavings.remove,
            )
        uploads = UploadShelf(self._volumes)
        yield _Chore("upload", lambda: self._unused_uploads(uploads, now_s), uploads.remove)
        if self._settings.processed_budget_bytes is not None:
            yield self._budget_chore(self._settings.processed_budget_bytes, now_s, dry_run=dry_run)
        takes = TakeShelf(self._volumes, self._settings.takes_budget_bytes)
        yield _Chore("take", takes.surplus, takes.remove)
        yield from self._log_chores()

    def _budget_chore(self, budget_bytes: int, now_s: float, *, dry_run: bool) -> _Chore:
        entries, spare_s = EntryShelf(self._volumes), self._settings.processed_spare_h * _HOUR_S

        def plan() -> list[Thing]:
            needed = self._needed_entries()
            if not dry_run:
                # So that they are spared for a while after their batch has ended, too.
                for key in needed:
                    entries.use(key)
            return over_budget(entries.things(), budget_bytes, spare_s, now_s, needed)

        return _Chore("processed", plan, entries.remove)

    def _leavings(self) -> Iterator[tuple[str, Leavings]]:
        yield "staging", Leavings(self._volumes.processed / STAGING)
        yield "temp", Leavings(self._volumes.temp)
        yield "part", Leavings(self._volumes.uploads, f".*{PART}")

    def _log_chores(self) -> Iterator[_Chore]:
        limit_bytes, kept = self._settings.log_max_bytes, self._settings.logs_kept
        logs = LogFiles(self._volumes.logs, socket.gethostname(), limit_bytes, kept)
        yield _Chore("log", lambda: list(logs.long()), logs.turn)
        surplus = Leavings(self._volumes.logs)
        yield _Chore("log", lambda: list(logs.surplus()), surplus.remove)

    def _unused_uploads(self, uploads: UploadShelf, now_s: float) -> list[Thing]:
        """Return uploads that nobody has brought for long and no job waits for."""
        keep_s = self._settings.uploads_keep_days * _DAY_S
        old = unused(uploads.things(), keep_s, now_s)
        return unused(old, keep_s, now_s, needed=self._needed_uploads()) if old else []

    def _needed_uploads(self) -> set[str]:
        """Return the uploads of all jobs that have not ended; of failed ones too, for a retry."""
        states = [state for state in JobState if not state.is_final or state is JobState.FAILED]
        ids: list[Any] = []
        for state in states:
            ids += self._redis.zrange(state_key(state), 0, -1)
        return {_upload_of(spec) for spec in self._fields(ids, "spec")}

    def _needed_entries(self) -> set[str]:
        """Return the content keys of what the batches have that have not ended."""
        live = BatchLedger(self._redis, keep_s=1).live()
        ids = [job_id_of(batch.id, number) for batch in live for number in range(batch.items)]
        return set(self._fields(ids, "key"))

    def _fields(self, job_ids: Sequence[str], field: str) -> Iterator[str]:
        """Yield a field of the rows that have it."""
        for start in range(0, len(job_ids), _ROWS):
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids[start : start + _ROWS]:
                    pipe.hget(job_key(job_id), field)
                yield from filter(None, pipe.execute())

    def _forgotten(self, *, dry_run: bool) -> Iterator[Removal]:
        """Rows expire by themselves; take their ids out of the indexes, too."""
        until = f"({time.time() - self._settings.keep_days * _DAY_S}"
        for state in JobState:
            if state.is_final:
                index = state_key(state)
                count: Any = self._redis.zcount(index, "-inf", until)
                if count and not dry_run:
                    self._redis.zremrangebyscore(index, "-inf", until)
                if count:
                    yield Removal("row", f"{count} {state}", 0)

    def _volume_time_s(self) -> float:
        """Return the time by the volume's own clock, which this machine's may not agree with."""
        with tempfile.TemporaryFile(dir=self._volumes.processed) as probe:
            probe.write(b"\0")
            probe.flush()
            return os.fstat(probe.fileno()).st_mtime


def _upload_of(spec: str) -> str:
    try:
        job = json.loads(spec)
        return str(job.get("upload") or job.get("cover") or "")
    except (ValueError, AttributeError):
        return ""
