"""How far the conversion of a long recording is: what is done at the moment, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Stage(StrEnum):
    """What is done with a long recording, in this order."""

    #: The worker reads it once, before it costs the engine anything.
    CHECKING = "checking"
    #: The engine reads it, brings it to 16 kHz and filters it.
    READING = "reading"
    #: The pitch of the whole of it is found.
    PITCH = "pitch"
    CONVERTING = "converting"
    #: It gets its loudness, its rate and its peak, and is written.
    FINISHING = "finishing"


@dataclass(frozen=True, slots=True)
class Progress:
    """`share` of a stage is done, 0 .. 1. Stages follow one another, and shares grow."""

    stage: Stage
    share: float

    def encode(self) -> str:
        """Return a word and a number; `decode` reads them back."""
        return f"{self.stage} {self.share:.3f}"

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` returned."""
        stage, share = text.split()
        return cls(Stage(stage), float(share))

    @property
    def converted_share(self) -> float:
        """How much of the recording is converted."""
        if self.stage is Stage.CONVERTING:
            return self.share
        return float(self.stage is Stage.FINISHING)
