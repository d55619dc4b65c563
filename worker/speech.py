"""The plan of a speech job: its chunks, their seeds, and the content key of its file. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from producer.content_key import content_key, seed_of
from producer.job import AnyJob, SpeechJob
from producer.languages import chunk_limit_chars
from producer.queues import Priority
from producer.text import halves, split

from . import pace
from .engine.errors import UnknownVoice
from .engine.model import ModelOffer
from .engine.request import ChunkRequest
from .errors import UnsupportedFeature


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """What the engine is asked for, in order, and the key of what comes of it."""

    key: str
    chunks: tuple[ChunkRequest, ...]


def plan_speech(attempt_id: str, job: AnyJob, offer: ModelOffer) -> SpeechPlan:
    """Cut the job into chunks for this engine; equal jobs get equal keys on every worker.

    The key of a take is decided by its text, its voice, the model and the parameters; the
    key of the file by its takes, in order, and the output.
    """
    if not isinstance(job, SpeechJob) or job.convert is not None:
        raise UnsupportedFeature("no engine of this worker converts voices")
    voice = next((voice for voice in offer.voices if voice.name == job.voice), None)
    if voice is None:
        raise UnknownVoice(f"{offer.engine} has no voice {job.voice!r}")
    decides = {
        "engine": offer.engine,
        "model": offer.revision,
        "voice": voice.revision,
        "guard": pace.REVISION if offer.guarded else None,
        **job.take_parameters(),
    }
    texts = [chunk.strip() for chunk in split(job.text, chunk_limit_chars(job.language))]
    takes = [content_key(text=text, **decides) for text in texts]
    chunks = tuple(
        ChunkRequest(
            id=f"{attempt_id}.{place}",
            text=text,
            language=job.language,
            voice=job.voice,
            seed=seed_of(take) if job.seed is None else job.seed,
            parameters=_parameters(job),
            interactive=job.priority is Priority.INTERACTIVE,
            voice_revision=voice.revision,
        )
        for place, (text, take) in enumerate(zip(texts, takes, strict=True))
    )
    return SpeechPlan(key=content_key(takes=takes, output=job.output.model_dump()), chunks=chunks)


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


def _parameters(job: SpeechJob) -> dict[str, float | int | None]:
    return {
        "speed": job.speed,
        "temperature": job.temperature,
        "top_k": job.top_k,
        "top_p": job.top_p,
        "repetition_penalty": job.repetition_penalty,
        "length_penalty": job.length_penalty,
    }
