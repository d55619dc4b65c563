"""The content keys of a text: of each of its takes, and of the file that they become. Pure.

A worker names its files by them, and a client finds out what is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .content_key import Plain, content_key
from .job import OutputSpec, RvcSettings, SpeechJob
from .languages import chunk_limit_chars
from .text import split


@dataclass(frozen=True, slots=True)
class Maker:
    """What, beside the job itself, decides how its audio sounds."""

    engine: str
    #: Revisions: of the model, of the voice, of what doubts a take. None is no doubts.
    model: str
    voice: str
    guard: str | None
    #: All that decides the conversion into another voice; None if there is none.
    conversion: Mapping[str, Plain] | None = None


def texts_of(job: SpeechJob) -> list[str]:
    """Return the texts of its chunks, as they are spoken."""
    return [chunk.strip() for chunk in split(job.text, chunk_limit_chars(job.language))]


def spoken_keys(job: SpeechJob, texts: Sequence[str], maker: Maker) -> list[str]:
    """Return the key of the speech of each of the job's `texts`, before any conversion."""
    decides = {
        "engine": maker.engine,
        "model": maker.model,
        "voice": maker.voice,
        "guard": maker.guard,
        **job.take_parameters(),
    }
    return [content_key(text=text, **decides) for text in texts]


def take_keys(spoken: Sequence[str], maker: Maker) -> list[str]:
    """Return the key of each take, converted if it is to be."""
    if maker.conversion is None:
        return list(spoken)
    return [content_key(take=take, convert=maker.conversion) for take in spoken]


def file_key(takes: Sequence[str], output: OutputSpec) -> str:
    """Return the key of the file: its takes, in order, and the form of the file."""
    return content_key(takes=list(takes), output=output.model_dump())


def conversion_facts(
    converter: str, voice: str, settings: RvcSettings
) -> dict[str, str | int | float]:
    """Return all that decides a conversion but what is converted and the seed.

    `converter` and `voice` are revisions: the name of a voice decides nothing.
    """
    said = settings.model_dump(mode="json", exclude={"voice"})
    return {"converter": converter, "voice": voice, **said}
