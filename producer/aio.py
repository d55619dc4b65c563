"""The asyncio twin of the client: the same words, awaited.

What is one short round trip runs in a thread. Waiting does not: thousands of waiters share
no thread pool, each follows its job through asyncio's own Redis client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis

from .batch.aio import AsyncBatch
from .batch.submission import Items
from .client import Item, Job, Progress, SpeechResult, VoiceFarm
from .errors import WaitTimeout
from .following import RECHECK_S, Pending
from .job import SpeechJob
from .job_row import JobRow
from .state import JobState


class AsyncJob:
    """One job of the farm, for `await`."""

    def __init__(self, farm: AsyncVoiceFarm, job: Job) -> None:
        self._farm = farm
        self._job = job
        self.id = job.id

    def __repr__(self) -> str:
        return f"AsyncJob({self.id!r})"

    async def row(self) -> JobRow:
        """Return all the ledger knows, or raise `JobNotFound`."""
        return await asyncio.to_thread(self._job.row)

    async def status(self) -> JobState:
        """Return the present state."""
        return (await self.row()).state

    async def progress(self) -> Progress:
        """Return how far the job is."""
        return Progress.of(await self.row())

    async def wait(self, timeout_s: float | None = None) -> JobState:
        """Wait until the job has ended and return how; `WaitTimeout` leaves it running."""
        async for _, state in self._farm.follow([self.id], timeout_s):
            return state
        raise WaitTimeout(self.id, timeout_s or 0.0, await self.status())

    async def result(self, timeout_s: float | None = None) -> SpeechResult:
        """Wait for the file; raise `JobFailed`, `JobCancelled` or `WaitTimeout`."""
        await self.wait(timeout_s)
        return await asyncio.to_thread(self._job.result)

    async def path(self) -> Path:
        """Wait for the audio file; `VolumeUnavailable` if it cannot be seen from here."""
        await self.wait()
        return await asyncio.to_thread(lambda: self._job.path)

    async def cancel(self) -> bool:
        """Ask for the job's end; False if it had ended before."""
        return await asyncio.to_thread(self._job.cancel)

    async def retry(self) -> bool:
        """Queue a failed job again; False if it has not failed."""
        return await asyncio.to_thread(self._job.retry)


class AsyncVoiceFarm:
    """A farm, as asyncio producers see it."""

    def __init__(self, url: str | None = None, *, home: Path | str | None = None) -> None:
        self._farm = VoiceFarm(url, home=home)

    @cached_property
    def _redis(self) -> Redis:
        return self._farm.broker.address.asyncio_client(decode_responses=True)

    async def submit(self, text: str | SpeechJob | None = None, /, **fields: Any) -> AsyncJob:
        """Queue one text and return its job, as `VoiceFarm.submit` does."""
        return AsyncJob(self, await asyncio.to_thread(self._farm.submit, text, **fields))

    async def convert(self, file: Path | str, /, **fields: Any) -> AsyncJob:
        """Queue the conversion of a recording, as `VoiceFarm.convert` does."""
        return AsyncJob(self, await asyncio.to_thread(self._farm.convert, file, **fields))

    async def submit_many(self, items: Iterable[Item], **common: Any) -> list[AsyncJob]:
        """Queue many texts, in order, as `VoiceFarm.submit_many` does."""
        jobs = await asyncio.to_thread(self._farm.submit_many, items, **common)
        return [AsyncJob(self, job) for job in jobs]

    async def batch(self, items: Items, /, **how: Any) -> AsyncBatch:
        """Queue a batch and return it, as `VoiceFarm.batch` does."""
        return AsyncBatch(await asyncio.to_thread(self._farm.batch, items, **how))

    def batch_of(self, batch_id: str) -> AsyncBatch:
        """Return a handle of a batch submitted before."""
        return AsyncBatch(self._farm.batch_of(batch_id))

    def job(self, job_id: str) -> AsyncJob:
        """Return a handle of a job submitted before."""
        return AsyncJob(self, self._farm.job(job_id))

    async def follow(
        self, job_ids: Iterable[str], timeout_s: float | None = None
    ) -> AsyncIterator[tuple[str, JobState]]:
        """Yield ids with their last states as the jobs end; stop when the time is over."""
        pending = Pending(job_ids)
        deadline_s = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        with self._farm.broker.reachable():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                for channels in pending.batches():
                    await channel.subscribe(*channels)
                while pending.ids:
                    asked = list(pending.ids)
                    states = await asyncio.to_thread(self._farm.ledger.states, asked)
                    for ended in pending.asked(asked, states):
                        yield ended
                    recheck_s = min(time.monotonic() + RECHECK_S, deadline_s)
                    while pending.ids and (now_s := time.monotonic()) < recheck_s:
                        message = await channel.get_message(timeout=recheck_s - now_s)
                        for ended in pending.heard(message) if message else ():
                            yield ended
                    if time.monotonic() >= deadline_s:
                        return

    async def as_completed(
        self, jobs: Iterable[AsyncJob], timeout_s: float | None = None
    ) -> AsyncIterator[AsyncJob]:
        """Yield jobs as they end; `WaitTimeout` if the time is over before the last."""
        by_id = {job.id: job for job in jobs}
        async for job_id, _ in self.follow(list(by_id), timeout_s):
            yield by_id.pop(job_id)
        if by_id:
            left = next(iter(by_id.values()))
            raise WaitTimeout(left.id, timeout_s or 0.0, await left.status())

    async def aclose(self) -> None:
        """Let go of the connections; jobs go on."""
        if "_redis" in self.__dict__:
            await self._redis.aclose()
        await asyncio.to_thread(self._farm.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
