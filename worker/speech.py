"""The plan of a speech job: its chunks, their seeds, and the content key of its file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from producer.content_key import seed_of
from producer.job import SpeechJob
from producer.queues import Priority
from producer.speech_key import Maker, file_key, spoken_keys, take_keys, texts_of
from producer.text import halves
from producer.volumes import Volumes

from . import pace, quality
from .engine.errors import CheckpointError, UnknownVoice
from .engine.model import ModelOffer, ModelVoice
from .engine.request import ChunkRequest, ConversionRequest
from .plan import Script, Target, Tell


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
    def opened(self, volumes: Volumes, tell: Tell) -> Iterator[Script]:
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
    voice, texts = _voice(job, offer), texts_of(job)
    facts = target.facts() if target else None
    maker = Maker(offer.engine, offer.revision, voice.revision, guard_revision(offer), facts)
    spoken = spoken_keys(job, texts, maker)
    takes = take_keys(spoken, maker)
    conversions: list[ConversionRequest | None] = [None] * len(takes)
    if target is not None:
        # The speech is the same, converted or not; what is drawn for its conversion is not.
        conversions = [target.request(_seed(job, take)) for take in takes]
    chunks = tuple(
        ChunkRequest(
            id=f"{attempt_id}.{place}",
            text=text,
            language=job.language,
            voice=job.voice,
            seed=_seed(job, spoken[place]),
            parameters=_parameters(job),
            interactive=job.priority is Priority.INTERACTIVE,
            voice_revision=voice.revision,
            conversion=conversions[place],
        )
        for place, text in enumerate(texts)
    )
    return SpeechPlan(
        key=file_key(takes, job.output),
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
    if voice is None and (fault := offer.faults.get(job.voice)):
        raise CheckpointError.saying(f"voice {job.voice!r} cannot be used: {fault}")
    if voice is None:
        raise UnknownVoice(f"{offer.engine} has no voice {job.voice!r}")
    return voice


def _seed(job: SpeechJob, key: str) -> int:
    return seed_of(key) if job.seed is None else job.seed


def guard_revision(offer: ModelOffer) -> str | None:
    """Return what decides which take is kept; None if every one is."""
    return f"{pace.REVISION}+{quality.REVISION}" if offer.guarded else None


def _parameters(job: SpeechJob) -> dict[str, float | int | None]:
    return {
        "speed": job.speed,
        "temperature": job.temperature,
        "top_k": job.top_k,
        "top_p": job.top_p,
        "repetition_penalty": job.repetition_penalty,
        "length_penalty": job.length_penalty,
    }
