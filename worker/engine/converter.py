"""What the engine asks of a voice converter. `fake_converter` and RVC stand behind it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from .lifecycle import Facts
from .model import ConversionOffer, Outcome
from .progress import Progress
from .request import ConversionRequest, Samples


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Mono samples on their way into another voice."""

    #: Of the chunk.
    id: str
    samples: Samples
    rate_hz: int
    wanted: ConversionRequest

    @property
    def voice(self) -> str:
        """What it shares a batch by."""
        return self.wanted.voice

    @property
    def duration_s(self) -> float:
        """What it costs."""
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True, slots=True)
class LongSource:
    """A recording that is not in memory, on its way into another voice and a file."""

    #: Of the chunk.
    id: str
    file: Path
    wanted: ConversionRequest
    #: Where samples may wait, and where the conversion goes: raw float32.
    scratch: Path
    target: Path

    @property
    def voice(self) -> str:
        """The name of the voice."""
        return self.wanted.voice


@dataclass(frozen=True, slots=True)
class Portions:
    """How much audio is converted in one step of the engine, of all chunks together. [s]"""

    #: While rows are decoded that somebody waits for, and which wait for it.
    awaited_s: float
    #: Otherwise: the largest batch is the fastest.
    whole_s: float


class Converting(Protocol):
    """A batch that a device converts, or has converted."""

    def is_done(self) -> bool:
        """Tell whether `outcomes` would not wait."""

    def outcomes(self) -> Sequence[Outcome]:
        """Return what has become of each source, in order: a sound or an error. Called once."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A `Converting` that is done."""

    found: Sequence[Outcome]

    def is_done(self) -> bool:
        """See `Converting`."""
        return True

    def outcomes(self) -> Sequence[Outcome]:
        """See `Converting`."""
        return self.found


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

    def convert(self, sources: Sequence[Source]) -> Converting:
        """Begin to convert sources, and do not wait for a device that does it.

        Raise `EngineOutOfMemory` or `MemoryError` if they do not fit together.
        """

    def convert_long(self, source: LongSource) -> Generator[Progress, None, int]:
        """Convert bit by bit into the file, and return the rate; yields how far it is.

        Raises what is wrong, an `EngineError`, `MemoryError` or `OSError`. Closed early it leaves
        nothing but what it has written of the file.
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
