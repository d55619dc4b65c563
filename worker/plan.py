"""The plan of a job: what the engine is asked for, in order, and the content key of its file.

speech.py         a text: chunks that are spoken, and converted if the job says so
conversion.py     a recording: pieces that are converted
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from producer.job import RvcSettings
from producer.speech_key import conversion_facts
from producer.volumes import Volumes

from .engine.errors import CheckpointError, NoConversion, UnknownVoice
from .engine.model import ConversionOffer, ModelOffer, TargetVoice
from .engine.progress import Progress
from .engine.request import ChunkRequest, ConversionRequest

#: Called with how far something is; what it raises ends the work.
Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Script:
    """The chunks of a job, in order."""

    chunks: Iterator[ChunkRequest]
    #: How many there are.
    count: int
    #: Content keys of their takes by the chunks' ids, where another job may want the same.
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """The voice that a job is converted into, and how."""

    voice: TargetVoice
    converter: str
    settings: RvcSettings

    @classmethod
    def of(cls, settings: RvcSettings, offer: ModelOffer) -> Target:
        """Find the voice. Raises `NoConversion`, `UnknownVoice` or `CheckpointError`."""
        converter = offer.conversion or ConversionOffer("", (), "no worker here converts voices")
        if converter.obstacle:
            kind = CheckpointError if converter.is_broken else NoConversion
            raise kind.saying(f"voices cannot be converted: {converter.obstacle}")
        found = next((one for one in converter.voices if one.name == settings.voice), None)
        if found is None and (fault := converter.faults.get(settings.voice)):
            raise CheckpointError.saying(f"RVC voice {settings.voice!r} cannot be used: {fault}")
        if found is None:
            raise UnknownVoice(f"there is no RVC voice {settings.voice!r} here")
        return cls(found, converter.revision, settings)

    def facts(self) -> dict[str, str | int | float]:
        """Return all that decides the sound, but for what is converted and the seed."""
        return conversion_facts(self.converter, self.voice.revision, self.settings)

    def request(self, seed: int) -> ConversionRequest:
        """Return what the engine is asked for."""
        parameters = self.settings.model_dump(mode="json", exclude={"voice"})
        return ConversionRequest(self.voice.name, seed, parameters, self.voice.revision)


class Plan(Protocol):
    """What becomes of one job. Pure until it is opened."""

    @property
    def key(self) -> str:
        """The content key of the file."""

    @property
    def sample_rate_hz(self) -> int:
        """Of every take."""

    @property
    def is_spoken(self) -> bool:
        """Whether takes are speech whose length can be judged by its text."""

    @property
    def target(self) -> Target | None:
        """The voice that all of it is converted into."""

    def opened(self, volumes: Volumes, tell: Tell) -> AbstractContextManager[Script]:
        """Give the chunks for as long as the job takes. Raises what is wrong with its source.

        `tell` is told again and again how far that is looked at.
        """
