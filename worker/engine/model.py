"""What the engine asks of a model. `fake`, `espeak` and later XTTS stand behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from .request import ChunkRequest, Sound


@dataclass(frozen=True, slots=True)
class ModelVoice:
    """One voice that the model can speak with; `revision` decides its sound."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class TargetVoice:
    """One voice that a sound can be converted into; `revision` decides its sound."""

    name: str
    revision: str
    sample_rate_hz: int
    #: False if it was trained without pitch, and so cannot be moved.
    has_pitch: bool = True
    #: The middle of its own pitch, None if it is not known; 0 is not told.
    median_hz: float | None = 0.0


@dataclass(frozen=True, slots=True)
class ConversionOffer:
    """What can be converted here."""

    #: What decides the sound beside the voice: the networks that all voices share.
    revision: str
    voices: tuple[TargetVoice, ...]
    #: Why nothing can be converted, for a person; empty if it can.
    obstacle: str = ""
    #: True if that is a file that is there and cannot be used.
    is_broken: bool = False
    #: What is wrong with the files of voices that are there and cannot be used, by name.
    faults: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Read what JSON has made of `dataclasses.asdict`."""
        voices = tuple(TargetVoice(**voice) for voice in fields["voices"])
        return cls(**{**fields, "voices": voices})


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """What a loaded model can do, plain enough to be announced to clients."""

    engine: str
    revision: str
    device: str
    sample_rate_hz: int
    slots: int
    languages: tuple[str, ...]
    voices: tuple[ModelVoice, ...]
    #: True if it draws its speech by chance, so that a take's length must be looked at.
    guarded: bool = False
    #: None if nobody has asked for conversions.
    conversion: ConversionOffer | None = None
    #: What is wrong with the files of voices that are there and cannot be used, by name.
    faults: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Read what JSON has made of `dataclasses.asdict`."""
        voices = tuple(ModelVoice(**voice) for voice in fields["voices"])
        conversion = fields.get("conversion")
        return cls(
            **{
                **fields,
                "languages": tuple(fields["languages"]),
                "voices": voices,
                "conversion": ConversionOffer.decode(conversion) if conversion else None,
            }
        )


#: The audio of a row, or what went wrong with that row alone.
Outcome = Sound | Exception


class Model(Protocol):
    """Rows of a batch, called from the engine's thread alone.

    There may be none: then `decode` returns nothing, and `vocode` what is left of earlier ones.
    The engine assigns a slot to each request; a slot is the model's to use from `prefill`
    until `vocode` or `release` has returned for it. Audio may come later than that, so that a
    device goes on decoding while it is made.
    """

    def load(self) -> None:
        """Read the files and place the weights. Called once, first."""

    def warm_up(self) -> None:
        """Run every steady shape once, so that no job pays for it."""

    def offer(self) -> ModelOffer:
        """Tell what can be asked for. Valid once loaded."""

    def check(self, request: ChunkRequest) -> None:
        """Raise `UnknownVoice`, `UnsupportedLanguage` or `ChunkFailed` for what cannot be spoken,
        and `ChunkTooLong` for what can be in parts.

        Thread-safe, and off the engine's thread: a model may prepare the request here.
        """

    def prefill(self, rows: Sequence[tuple[int, ChunkRequest]]) -> None:
        """Give each request its slot and prepare it for decoding.

        Raise `EngineOutOfMemory` or `MemoryError` if they do not fit; after any error the
        engine releases them.
        """

    def decode(self) -> Sequence[int]:
        """Advance every prefilled row by one burst; return the slots that have ended."""

    def vocode(self, slots: Sequence[int], *, wait: bool) -> Mapping[str, Outcome]:
        """Begin the audio of ended rows; return by id what is done, of these or earlier rows.

        Slots are free again. With `wait`, one outcome at least, if any is to come.
        """

    def release(self, slots: Sequence[int]) -> None:
        """Forget rows that were cancelled or failed."""

    def close(self) -> None:
        """Let go of the device."""
