"""The plan of a job that converts a recording: its key, its seed, and its one take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from producer.content_key import content_key, seed_of
from producer.job import ConvertJob
from producer.queues import Priority
from producer.volumes import Volumes

from .engine.model import ModelOffer
from .engine.request import ChunkRequest, Recording
from .plan import Script, Target, Tell
from .recordings import judge
from .scratch import scratch


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """A `Plan` over a file of the uploads volume."""

    attempt_id: str
    job: ConvertJob
    target: Target

    @property
    def key(self) -> str:
        """See `Plan`."""
        return content_key(take=self._take, output=self.job.output.model_dump())

    @property
    def sample_rate_hz(self) -> int:
        """See `Plan`."""
        return self.target.voice.sample_rate_hz

    @property
    def is_spoken(self) -> bool:
        """See `Plan`."""
        return False

    @contextmanager
    def opened(self, volumes: Volumes, tell: Tell) -> Iterator[Script]:
        """See `Plan`; raises `UploadMissing` or `UnfitAudio` before anything is computed."""
        found = judge(volumes.upload(self.job.upload), self.job.upload, tell)
        with scratch(volumes.temp, self.attempt_id) as directory:
            recording = Recording(str(found.file), found.rate_hz, found.samples, str(directory))
            yield Script(iter((self._chunk(recording),)), 1)

    @property
    def _take(self) -> str:
        facts = self.target.facts()
        return content_key(upload=self.job.upload, convert=facts, seed=self.job.seed)

    def _chunk(self, recording: Recording) -> ChunkRequest:
        seed = seed_of(self._take) if self.job.seed is None else self.job.seed
        return ChunkRequest(
            id=f"{self.attempt_id}.0",
            text="",
            language="",
            voice="",
            seed=seed,
            interactive=self.job.priority is Priority.INTERACTIVE,
            conversion=self.target.request(seed),
            recording=recording,
        )


def plan_conversion(attempt_id: str, job: ConvertJob, offer: ModelOffer) -> ConversionPlan:
    """Find the voice. Raises `NoConversion`, `UnknownVoice` or `CheckpointError`."""
    return ConversionPlan(attempt_id, job, Target.of(job.convert, offer))
