"""What goes into the engine and what comes out: one chunk, one take. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

#: Mono samples, -1 .. 1. [samples]
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """One speakable piece of a job's text, with all that decides how it sounds."""

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

    @property
    def speed(self) -> float:
        """The tempo, 1.0 being the voice's own."""
        return float(self.parameters.get("speed") or 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """What a model makes of one chunk, and what it had to do to its end."""

    samples: Samples
    #: Seconds of a tail without speech that were cut off.
    trimmed_s: float = 0.0
    #: True if the model met its limit before it had come to an end.
    truncated: bool = False


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

    @property
    def duration_s(self) -> float:
        """Length of the audio."""
        return len(self.samples) / self.sample_rate_hz
