"""The Python client: queue texts, follow them, get their files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from pydantic import SecretStr

from .batch.handle import Batch
from .batch.submission import Items, submission
from .broker import Broker
from .config import ProducerSettings
from .decisions import Decision, decisions
from .errors import InvalidJob, NoWorker, WaitTimeout
from .following import follow
from .intake import take_in, take_in_many
from .job import AnyJob, RvcSettings, SpeechJob, convert_job, new_job_id, speech_job
from .job_handle import Job, Progress, SpeechResult
from .job_row import JobRow
from .ledger import Ledger
from .overview import Overview, is_served, read_overview
from .queues import CATALOGUE_KEY, Priority
from .state import JobState
from .uploads import put
from .voices import Catalogue
from .volumes import Volumes

__all__ = ["Job", "Progress", "SpeechResult", "VoiceFarm", "as_completed"]

#: Jobs that `submit_many` writes and sends in one round trip each.
SUBMIT_BATCH: Final = 500

#: How long a client trusts what it read of the farm's voices. An unknown name is looked up
#: again before it is refused.
CATALOGUE_TRUST_S: Final = 30.0

#: How long to wait for any worker's answer.
ANSWER_TIMEOUT_S: Final = 1.0

Item = str | Mapping[str, Any] | SpeechJob


class VoiceFarm:
    """A farm, as its producers see it. Thread-safe; connects when first used.

    `url` is the broker's; without it `VOICEFARM_BROKER_URL` counts, and without that the
    broker that `voicefarm up` started for `home`.
    """

    def __init__(self, url: str | None = None, *, home: Path | str | None = None) -> None:
        self.settings = ProducerSettings.load(
            broker_url=None if url is None else SecretStr(url), home=home
        )
        self.volumes = Volumes(self.settings.home)
        self._catalogue: tuple[float, Catalogue] = (float("-inf"), Catalogue(()))

    @cached_property
    def broker(self) -> Broker:
        """The connection to the farm's Redis."""
        return Broker.of(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The rows of all jobs."""
        return Ledger(self.broker.redis, keep_s=self.settings.keep_days * 86400)

    def submit(
        self,
        text: str | SpeechJob | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        require_worker: bool = False,
        **fields: Any,
    ) -> Job:
        """Queue one text and return its job; `InvalidJob` is raised before anything is queued.

        With `idempotency_key` a job submitted under the same key before is returned instead.
        With `require_worker` the job is refused with `NoWorker` if nobody would take it now.
        """
        job = self._checked(text if text is not None else {}, fields)
        return self._submitted(job, idempotency_key, require_worker=require_worker)

    def convert(
        self,
        file: Path | str,
        /,
        *,
        idempotency_key: str | None = None,
        require_worker: bool = False,
        **fields: Any,
    ) -> Job:
        """Queue the conversion of a recording into the RVC voice `voice`, and return its job.

        `fields` are those of `RvcSettings` and `OutputSpec`, `seed` and `priority`. The file is
        copied onto the farm's volume, which must be seen from here: else `VolumeUnavailable`.
        """
        job = convert_job("0" * 64, **fields)
        self._check_target(job.convert)
        job = job.model_copy(update={"upload": put(self.volumes, file)})
        return self._submitted(job, idempotency_key, require_worker=require_worker)

    def submit_many(self, items: Iterable[Item], **common: Any) -> list[Job]:
        """Queue many texts, in order, as batch work; `common` holds for each of them.

        A `SpeechJob` is taken as it is. All are checked before the first is queued.
        """
        checked = [
            (new_job_id(), self._checked(item, common, priority=Priority.BATCH)) for item in items
        ]
        remaining = iter(checked)
        while batch := list(islice(remaining, SUBMIT_BATCH)):
            take_in_many(self.broker, self.ledger, batch)
        return [Job(self, job_id) for job_id, _ in checked]

    def batch(self, items: Items, /, **how: Any) -> Batch:
        """Queue a batch and return it: a file or folder, or items as `submit_many` takes them.

        `schedule`, `skip_invalid`, `client` and `name` say how, and `assemble={"format": "m4b"}`
        has a book made of it, see `AssembleJob`; all else holds for every item.
        `InvalidItem` names the first that is wrong, and nothing is queued.
        """
        return submission(self, items, how).submit()

    def batch_of(self, batch_id: str) -> Batch:
        """Return a handle of a batch submitted before, from here or from elsewhere."""
        return Batch(self, batch_id)

    def check(self, job: SpeechJob) -> None:
        """Raise `InvalidJob` if the farm is known not to speak like this."""
        self._checked(job, {})

    def job(self, job_id: str) -> Job:
        """Return a handle of a job submitted before, from here or from elsewhere."""
        return Job(self, job_id)

    def follow(
        self, job_ids: Iterable[str], timeout_s: float | None = None
    ) -> Iterator[tuple[str, JobState]]:
        """Yield ids with their last states as the jobs end; stop when the time is over."""
        with self.broker.reachable():
            yield from follow(self.broker.redis, self.ledger, job_ids, timeout_s)

    def workers(self, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, dict[str, Any]]:
        """Return each worker's readiness by node name; takes the whole timeout."""
        return self.broker.ask_workers("gpu_ready", timeout_s)

    def overview(self) -> Overview:
        """Return what waits and who works, as the last heartbeats tell; asks no worker."""
        with self.broker.reachable():
            return read_overview(self.broker.redis, time.time())

    def decisions(self, limit: int = 50) -> list[Decision]:
        """Return what every `up` has decided about its workers last, newest first."""
        with self.broker.reachable():
            return decisions(self.broker.redis, limit)

    def voices(self) -> Catalogue:
        """Return what the farm's engines can speak, as their workers announced it."""
        with self.broker.reachable():
            announced: dict[Any, Any] = self.broker.redis.hgetall(CATALOGUE_KEY)
        catalogue = Catalogue.decode(announced)
        self._catalogue = (time.monotonic(), catalogue)
        return catalogue

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        with self.broker.reachable():
            return self.ledger.counts()

    def recent(self, state: JobState | None = None, limit: int = 20) -> list[JobRow]:
        """Return the jobs that changed last, newest first."""
        with self.broker.reachable():
            return self.ledger.recent([state] if state else list(JobState), limit)

    def close(self) -> None:
        """Let go of the connections; jobs go on."""
        if "broker" in self.__dict__:
            self.broker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submitted(self, job: AnyJob, idempotency_key: str | None, *, require_worker: bool) -> Job:
        with self.broker.reachable():
            if require_worker and not is_served(self.workers(), [job.queue]):
                raise NoWorker(job.queue)
        key = idempotency_key or ""
        return Job(self, take_in(self.broker, self.ledger, new_job_id(), job, key))

    def _checked(self, item: Item, fields: Mapping[str, Any], **defaults: Any) -> SpeechJob:
        if isinstance(item, SpeechJob):
            job = _unmixed(item, fields)
        elif isinstance(item, str):
            job = speech_job(item, **{**defaults, **fields})
        else:
            job = speech_job(**{**defaults, **fields, **item})
        known = self._known_voices()
        if known.offers and not known.speaks(job.voice, job.language):
            self.voices().check(job.voice, job.language)
        if job.convert is not None:
            self._check_target(job.convert)
        return job

    def _check_target(self, wanted: RvcSettings) -> None:
        if not self._known_voices().converts(wanted):
            self.voices().check_target(wanted)

    def _known_voices(self) -> Catalogue:
        read_s, known = self._catalogue
        return self.voices() if time.monotonic() - read_s > CATALOGUE_TRUST_S else known


def _unmixed(job: SpeechJob, fields: Mapping[str, Any]) -> SpeechJob:
    """Return a whole job as it is, unless somebody gave parameters beside it."""
    for name in fields:
        raise InvalidJob(name, "is given beside a whole SpeechJob; put it into the job")
    return job


def as_completed(jobs: Iterable[Job], timeout_s: float | None = None) -> Iterator[Job]:
    """Yield jobs of one farm as they end; `WaitTimeout` if the time is over before the last."""
    by_id = {job.id: job for job in jobs}
    if not by_id:
        return
    farm = next(iter(by_id.values()))._farm
    for job_id, _ in farm.follow(list(by_id), timeout_s):
        yield by_id.pop(job_id)
    if by_id:
        left = next(iter(by_id.values()))
        raise WaitTimeout(left.id, timeout_s or 0.0, left.status)
