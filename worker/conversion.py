"""The plan of a job that converts a recording: its key, its seed, and its pieces."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from producer.content_key import content_key, seed_of
from producer.job import ConvertJob
from producer.queues import Priority
from producer.volumes import Volumes

from .engine.model import ModelOffer
from .engine.request import ChunkRequest
from .plan import Script, Target
from .recordings import Judgement, Scratch, judge

#: Pieces of one recording that are in the engine, or on their way, at the same time: what bounds
#: the scratch files and the samples of a long one.
AHEAD_PIECES: Final = 8


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
    def opened(self, volumes: Volumes) -> Iterator[Script]:
        """See `Plan`; raises `UploadMissing` or `UnfitAudio` before anything is computed."""
        found = judge(volumes.upload(self.job.upload), self.job.upload)
        directory = volumes.temp / self.attempt_id
        try:
            with closing(self._chunks(found, Scratch(found, directory))) as chunks:
                yield Script(chunks, len(found.pieces), AHEAD_PIECES)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    @property
    def _take(self) -> str:
        facts = self.target.facts()
        return content_key(upload=self.job.upload, convert=facts, seed=self.job.seed)

    def _chunks(self, found: Judgement, scratch: Scratch) -> Generator[ChunkRequest, None, None]:
        seed = seed_of(self._take) if self.job.seed is None else self.job.seed
        for number, recording in enumerate(scratch.recordings()):
            # Pieces must not share their noise.
            piece_seed = (
                seed if len(found.pieces) == 1 else seed_of(content_key(seed=seed, piece=number))
            )
            yield ChunkRequest(
                id=f"{self.attempt_id}.{number}",
                text="",
                language="",
                voice="",
                seed=piece_seed,
                interactive=self.job.priority is Priority.INTERACTIVE,
                conversion=self.target.request(piece_seed),
                recording=recording,
            )


def plan_conversion(attempt_id: str, job: ConvertJob, offer: ModelOffer) -> ConversionPlan:
    """Find the voice. Raises `NoConversion` or `UnknownVoice`."""
    return ConversionPlan(attempt_id, job, Target.of(job.convert, offer))
