"""What the engine asks of a voice converter. `fake_converter` and RVC stand behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .lifecycle import Facts
from .model import ConversionOffer, Outcome
from .request import ConversionRequest, Samples


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Mono samples on their way into another voice."""

    #: Of the chunk.
    id: str
    samples: Samples
    rate_hz: int
    wanted: ConversionRequest
    #: The samples whose conversion is wanted: from, to. The others are what is around them.
    keep: tuple[int, int]

    @property
    def voice(self) -> str:
        """What it shares a batch by."""
        return self.wanted.voice

    @property
    def duration_s(self) -> float:
        """Of all samples: what it costs."""
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, slots=True)
class Portions:
    """How much audio is converted in one step of the engine, of all chunks together. [s]"""

    #: While rows are decoded, which wait for it.
    busy_s: float
    #: While there is nothing else to do.
    idle_s: float


class VoiceConverter(Protocol):
    """Converts batches. Called from the engine's thread alone, but for `check`."""

    portions: Portions

    def load(self) -> None:
        """Read the files and place the networks that all voices share. Called once, first."""

    def warm_up(self) -> None:
        """Convert something, so that no job pays for what is done once."""

    def offer(self) -> ConversionOffer:
        """Tell what can be asked for. Valid once loaded."""

    def check(self, request: ConversionRequest) -> None:
        """Raise `NoConversion`, `UnknownVoice` or `UnfitVoice` for what cannot be converted.

        Thread-safe, and off the engine's thread: a voice may be fetched here.
        """

    def convert(self, sources: Sequence[Source]) -> Sequence[Outcome]:
        """Return what becomes of each, in order: a sound as long as what is kept, or an error.

        Raise `EngineOutOfMemory` or `MemoryError` if they do not fit together.
        """

    def facts(self) -> Facts:
        """Return plain JSON facts for people, without waiting; may be called by any thread."""

    def close(self) -> None:
        """Let go of the device."""


@runtime_checkable
class RenewableConverter(Protocol):
    """A converter whose voices come, change and go while it is loaded."""

    def renew(self) -> bool:
        """Look at the disk; True if the offer is another than it was.

        Called from a thread of its own, also while the converter works or closes.
        """
