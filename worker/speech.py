"""The plan of a speech job: its chunks, their seeds, and the content key of its file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from producer.content_key import Plain, content_key, seed_of
from producer.job import SpeechJob
from producer.languages import chunk_limit_chars
from producer.queues import Priority
from producer.text import halves, split
from producer.volumes import Volumes

from . import pace, quality
from .engine.errors import UnknownVoice
from .engine.model import ModelOffer, ModelVoice
from .engine.request import ChunkRequest, ConversionRequest
from .plan import Script, Target


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """A `Plan` of chunks that are known from the start."""

    key: str
    chunks: tuple[ChunkRequest, ...]
    #: Content keys of the takes, in order.
    takes: tuple[str, ...]
    sample_rate_hz: int
    target: Target | None = None

    @property
    def is_spoken(self) -> bool:
        """See `Plan`."""
        return True

    @contextmanager
    def opened(self, volumes: Volumes) -> Iterator[Script]:
        """See `Plan`."""
        # The take of a single chunk is the file itself: it is shared as such.
        shared = self.chunks if len(self.chunks) > 1 else ()
        keys = {chunk.id: key for chunk, key in zip(shared, self.takes, strict=False)}
        yield Script(iter(self.chunks), len(self.chunks), keys)


def plan_speech(attempt_id: str, job: SpeechJob, offer: ModelOffer) -> SpeechPlan:
    """Cut the job into chunks for this engine; equal jobs get equal keys on every worker.

    The key of a take is decided by its text, its voice, the model and the parameters; the
    key of the file by its takes, in order, and the output.
    """
    target = None if job.convert is None else Target.of(job.convert, offer)
    voice = _voice(job, offer)
    texts = [chunk.strip() for chunk in split(job.text, chunk_limit_chars(job.language))]
    takes = [content_key(text=text, **_decides(job, offer, voice)) for text in texts]
    seeds = [seed_of(take) if job.seed is None else job.seed for take in takes]
    conversions: list[ConversionRequest | None] = [None] * len(takes)
    if target is not None:
        takes = [content_key(take=take, convert=target.facts()) for take in takes]
        # The speech is the same, converted or not; what is drawn for its conversion is not.
        conversions = [
            target.request(seed_of(take) if job.seed is None else job.seed) for take in takes
        ]
    chunks = tuple(
        ChunkRequest(
            id=f"{attempt_id}.{place}",
            text=text,
            language=job.language,
            voice=job.voice,
            seed=seeds[place],
            parameters=_parameters(job),
            interactive=job.priority is Priority.INTERACTIVE,
            voice_revision=voice.revision,
            conversion=conversions[place],
        )
        for place, text in enumerate(texts)
    )
    return SpeechPlan(
        key=content_key(takes=takes, output=job.output.model_dump()),
        chunks=chunks,
        takes=tuple(takes),
        sample_rate_hz=target.voice.sample_rate_hz if target else offer.sample_rate_hz,
        target=target,
    )


def parts_of(chunk: ChunkRequest) -> tuple[ChunkRequest, ...]:
    """Cut a chunk that is too long for its model: the same parts on every worker.

    They follow from the text and the model, which the content key knows. There are none of a
    chunk that cannot be cut.
    """
    texts = [text for text in map(str.strip, halves(chunk.text)) if any(map(str.isalnum, text))]
    if texts == [chunk.text]:
        return ()
    return tuple(
        replace(chunk, id=f"{chunk.id}.{place}", text=text) for place, text in enumerate(texts)
    )


def _voice(job: SpeechJob, offer: ModelOffer) -> ModelVoice:
    voice = next((voice for voice in offer.voices if voice.name == job.voice), None)
    if voice is None:
        raise UnknownVoice(f"{offer.engine} has no voice {job.voice!r}")
    return voice


def _decides(job: SpeechJob, offer: ModelOffer, voice: ModelVoice) -> dict[str, Plain]:
    """Return what, beside its text, decides how a take sounds."""
    return {
        "engine": offer.engine,
        "model": offer.revision,
        "voice": voice.revision,
        "guard": f"{pace.REVISION}+{quality.REVISION}" if offer.guarded else None,
        **job.take_parameters(),
    }


def _parameters(job: SpeechJob) -> dict[str, float | int | None]:
    return {
        "speed": job.speed,
        "temperature": job.temperature,
        "top_k": job.top_k,
        "top_p": job.top_p,
        "repetition_penalty": job.repetition_penalty,
        "length_penalty": job.length_penalty,
    }
