"""What goes into the engine and what comes out: one chunk, one take. Plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

#: A recording that is longer is converted bit by bit. What is shorter shares batches, and is cut
#: by no converter.
LONG_S: Final = 40.0

#: Samples of a take that are looked at together.
_BLOCK: Final = 1 << 20

#: Mono samples, -1 .. 1. [samples]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """Into which other voice a sound is to be converted, and how."""

    voice: str
    #: 0 .. 2**63 - 1; decides the noise that the conversion draws.
    seed: int
    #: `pitch index_rate f0_method` and so on, JSON types; what is left out is the default.
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    #: Of the voice as the job began with it; empty is the one of now.
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is to be converted: a file that is kept until the take is there.

    It was judged before: it can be read, and its numbers are finite.
    """

    path: str
    rate_hz: int
    samples: int
    #: A directory for what is on its way, where a long one's take is left too.
    scratch: str

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.samples / self.rate_hz

    @property
    def is_long(self) -> bool:
        """True if it is not to be in memory as a whole."""
        return self.samples > LONG_S * self.rate_hz


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """One speakable piece of a job's text, with all that decides how it sounds.

    Or, with `recording`, a piece of audio that is to be converted; then nothing is spoken.
    """

    #: Unique among the chunks an engine holds: the job's id and the chunk's place in it.
    id: str
    text: str
    language: str
    voice: str
    #: 0 .. 2**63 - 1; the same request with the same seed gives the same samples.
    seed: int
    #: `speed temperature top_k top_p repetition_penalty length_penalty`, JSON types.
    parameters: Mapping[str, float | int | None] = field(default_factory=dict)
    #: True if somebody waits for it now.
    interactive: bool = False
    #: Of the voice as the job began with it, whatever has become of its name; empty is any.
    voice_revision: str = ""
    #: None leaves the voice that spoke.
    conversion: ConversionRequest | None = None
    recording: Recording | None = None

    @property
    def speed(self) -> float:
        """The tempo, 1.0 being the voice's own."""
        return float(self.parameters.get("speed") or 1.0)

    def encode(self) -> dict[str, Any]:
        """Return plain JSON; `decode` reads it back. Copies nothing, as `asdict` would."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "conversion": asdict(self.conversion) if self.conversion else None,
            "recording": asdict(self.recording) if self.recording else None,
        }

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `encode` returned."""
        conversion, recording = fields.get("conversion"), fields.get("recording")
        return cls(
            **{
                **fields,
                "conversion": ConversionRequest(**conversion) if conversion else None,
                "recording": Recording(**recording) if recording else None,
            }
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """What a model makes of one chunk, and what it had to do to its end."""

    samples: Samples
    #: Seconds of a tail without speech that were cut off.
    trimmed_s: float = 0.0
    #: True if the model met its limit before it had come to an end.
    truncated: bool = False
    #: None is the model's own rate.
    sample_rate_hz: int | None = None
    #: Where the samples are mapped from, if they are not in memory.
    file: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """The audio of one chunk."""

    samples: Samples
    sample_rate_hz: int
    #: Seconds from submit to a slot, and from the slot to the last sample.
    waited_s: float = 0.0
    computed_s: float = 0.0
    #: See `Sound`.
    trimmed_s: float = 0.0
    truncated: bool = False
    file: str = ""

    @property
    def duration_s(self) -> float:
        """Length of the audio."""
        return len(self.samples) / self.sample_rate_hz

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples, in parts of which any number fit into memory."""
        for start in range(0, len(self.samples), _BLOCK):
            yield np.asarray(self.samples[start : start + _BLOCK])
