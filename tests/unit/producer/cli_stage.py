"""A farm made of memory, and a stage on which command lines play before it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from producer.cli import run_voicefarm
from producer.content_key import content_key
from producer.decisions import Decision
from producer.errors import BrokerRefused, BrokerUnavailable, JobNotFound, NoWorker
from producer.job import AnyJob, SpeechJob, convert_job, new_job_id, speech_job
from producer.job_row import JobRow
from producer.overview import Overview
from producer.state import JobState
from producer.voices import Catalogue
from producer.volumes import Volumes

AUDIO = b"RIFF and so on"


class FakeJob:
    """One row, seen as a job."""

    def __init__(self, farm: FakeFarm, job_id: str) -> None:
        self.farm = farm
        self.id = job_id

    def row(self) -> JobRow:
        if self.id not in self.farm.rows:
            raise JobNotFound(self.id)
        return self.farm.rows[self.id]

    @property
    def status(self) -> JobState:
        return self.row().state

    @property
    def path(self) -> Path:
        return self.farm.volumes.locate(self.row().file)

    def retry(self) -> bool:
        if self.status is not JobState.FAILED:
            return False
        self.farm.rows[self.id] = replace(self.row(), state=JobState.QUEUED)
        return True

    def cancel(self) -> bool:
        if self.status.is_final:
            return False
        self.farm.rows[self.id] = replace(self.row(), state=JobState.CANCELLED)
        return True


@dataclass
class FakeFarm:
    """Jobs end as `ending` says, at the first look; None lets them wait for ever."""

    volumes: Volumes
    ending: JobState | None = JobState.DONE
    workers_there: dict[str, dict[str, Any]] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=lambda: Catalogue(()))
    seen: Overview = field(default_factory=Overview)
    decided: list[Decision] = field(default_factory=list)
    rows: dict[str, JobRow] = field(default_factory=dict)
    jobs: list[SpeechJob] = field(default_factory=list)
    #: Of every kind.
    asked: list[AnyJob] = field(default_factory=list)
    broker_doubts: list[str] = field(default_factory=list)
    interrupted: bool = False
    unreachable: bool = False
    #: Nobody may ask the workers, as a producer of a broker with users may not.
    asking_refused: bool = False

    def __enter__(self) -> FakeFarm:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(
        self,
        text: str,
        *,
        idempotency_key: str | None = None,
        require_worker: bool = False,
        **fields: Any,
    ) -> FakeJob:
        self._connect()
        if require_worker and not self.workers_there:
            raise NoWorker("speech.interactive")
        return self._queue(speech_job(text, **fields))

    def convert(
        self,
        file: Path,
        *,
        idempotency_key: str | None = None,
        require_worker: bool = False,
        **fields: Any,
    ) -> FakeJob:
        self._connect()
        return self._queue(convert_job(hashlib.sha256(file.read_bytes()).hexdigest(), **fields))

    def submit_many(self, items: Iterable[str], **common: Any) -> list[FakeJob]:
        self._connect()
        return [self._queue(speech_job(item, **common)) for item in items]

    def job(self, job_id: str) -> FakeJob:
        return FakeJob(self, job_id)

    def follow(
        self, job_ids: Iterable[str], timeout_s: float | None = None
    ) -> Iterator[tuple[str, JobState]]:
        if self.interrupted:
            raise KeyboardInterrupt
        for job_id in job_ids:
            row = self.job(job_id).row()
            if not row.state.is_final:
                if self.ending is None:
                    continue
                row = self.end(job_id, self.ending)
            yield job_id, row.state

    def end(self, job_id: str, state: JobState) -> JobRow:
        key = content_key(id=job_id)
        file = self.volumes.entry(key) / "audio.wav"
        if state.has_output:
            file.parent.mkdir(parents=True)
            file.write_bytes(AUDIO)
        self.rows[job_id] = replace(
            self.rows[job_id],
            state=state,
            file=str(file.relative_to(self.volumes.home)) if state.has_output else "",
            reason="internal" if state is JobState.FAILED else "",
            detail={JobState.FAILED: "it broke", JobState.SUSPICIOUS: "too long"}.get(state, ""),
            duration_s=1.5 if state.has_output else 0.0,
        )
        return self.rows[job_id]

    def workers(self, timeout_s: float = 1.0) -> Mapping[str, dict[str, Any]]:
        self._connect()
        if self.asking_refused:
            raise BrokerRefused("redis://producer:***@redis/0", "no permissions")
        return self.workers_there

    def overview(self) -> Overview:
        self._connect()
        return self.seen

    def decisions(self, limit: int = 50) -> list[Decision]:
        self._connect()
        return self.decided[:limit]

    def voices(self) -> Catalogue:
        self._connect()
        return self.catalogue

    def counts(self) -> dict[JobState, int]:
        self._connect()
        states = [row.state for row in self.rows.values()]
        return {state: states.count(state) for state in JobState}

    @property
    def broker(self) -> Any:
        self._connect()
        url, doubts = "redis://:secret@127.0.0.1:6379/0", list(self.broker_doubts)
        return type("Broker", (), {"url": url, "doubts": staticmethod(lambda: doubts)})

    def _connect(self) -> None:
        if self.unreachable:
            raise BrokerUnavailable("redis://:***@127.0.0.1:6379/0", "refused")

    def _queue(self, job: AnyJob) -> FakeJob:
        job_id = new_job_id()
        self.asked.append(job)
        if isinstance(job, SpeechJob):
            self.jobs.append(job)
        self.rows[job_id] = JobRow(
            id=job_id,
            state=JobState.QUEUED,
            encoded=job.encode(),
            times={JobState.QUEUED: 1_700_000_000.0},
        )
        return FakeJob(self, job_id)


@dataclass
class Stage:
    """Runs command lines against one fake farm."""

    farm: FakeFarm
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    out: str = ""
    err: str = ""

    def run(self, *arguments: str, stdin: bytes = b"") -> int:
        """Run `voicefarm ARGUMENTS`; what it said is in `out` and `err`."""
        self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run_voicefarm(arguments, lambda broker, home: self.farm)  # type: ignore[arg-type,return-value]
        self.out, self.err = self.capture.readouterr()
        return code

    def submit(self, text: str = "Hello") -> str:
        """Queue one job beside any command, and return its id."""
        return self.farm.submit(text).id
