"""Voices by name, and what the farm's engines say they can speak.

A worker that becomes ready writes what its engine offers into the broker; the client reads
it to refuse an unknown voice or language before anything is queued. Where no worker has
ever been ready nothing is known, and the worker decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict

from .errors import InvalidJob

if TYPE_CHECKING:
    from .job import RvcSettings

#: The voice of a job that names none: the engine's own.
DEFAULT_VOICE: Final = "default"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_name(field: str, name: str) -> str:
    """Return `name` if it can never be mistaken for a path, or raise `InvalidJob`."""
    if _NAME.fullmatch(name) is None or ".." in name:
        raise InvalidJob(
            field,
            f"{name!r} is no name: 1 to 64 of letters, digits, '_', '-' and '.', "
            "with a letter or digit first and no '..'",
        )
    return name


class Voice(BaseModel):
    """One voice an engine can speak with."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    #: What decides its sound, for content keys: a hash of the sample, or the engine's own id.
    revision: str
    engine: str


class TargetVoice(BaseModel):
    """One RVC voice that a sound can be converted into."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    revision: str
    sample_rate_hz: int
    #: False if it was trained without pitch, and so cannot be moved.
    has_pitch: bool = True
    #: The middle of its own pitch, None if it is not known; 0 is not told, by an older worker.
    median_hz: float | None = 0.0

    def can_follow(self, pitch: float | Literal["auto"]) -> bool:
        """True if it can be moved so."""
        if pitch == "auto":
            return self.has_pitch and self.median_hz is not None
        return self.has_pitch or pitch == 0


class Offer(BaseModel):
    """What one engine can speak and convert, as its worker announced it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    engine: str
    revision: str
    languages: tuple[str, ...]
    voices: tuple[Voice, ...]
    targets: tuple[TargetVoice, ...] = ()
    #: Why its worker converts nothing, if it says so.
    obstacle: str = ""
    #: What is wrong with the files of voices that it cannot use, and of those that it could
    #: convert into, by name.
    faults: Mapping[str, str] = {}
    target_faults: Mapping[str, str] = {}
    #: Revisions of what doubts a take, None if nothing does, and of what converts; empty is not
    #: known, of an older worker.
    guard: str | None = ""
    converter: str = ""


class Catalogue:
    """All that the farm's engines have announced; empty where none ever has."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self.offers = tuple(offers)

    @classmethod
    def decode(cls, fields: Mapping[str, str]) -> Catalogue:
        """Read the catalogue's Redis hash: one field an engine."""
        return cls(Offer.model_validate_json(text) for _, text in sorted(fields.items()))

    @property
    def voices(self) -> tuple[Voice, ...]:
        """Every voice of every engine, by name."""
        found = (voice for offer in self.offers for voice in offer.voices)
        return tuple(sorted(found, key=lambda voice: (voice.name, voice.engine)))

    @property
    def targets(self) -> tuple[TargetVoice, ...]:
        """Every voice that can be converted into, once, by name."""
        found = {one.name: one for offer in self.offers for one in offer.targets}
        return tuple(found[name] for name in sorted(found))

    def converts(self, wanted: RvcSettings) -> bool:
        """True if some worker converts into this voice, moved as it is wanted."""
        return any(
            one.name == wanted.voice and one.can_follow(wanted.pitch) for one in self.targets
        )

    def check_target(self, wanted: RvcSettings) -> None:
        """Raise `InvalidJob` if no worker of the farm converts into this voice as it is wanted."""
        if not self.offers or self.converts(wanted):
            return
        voice, known = wanted.voice, {one.name: one for one in self.targets}
        if voice in known:
            raise InvalidJob("convert.pitch", _unmoved(known[voice]))
        for offer in self.offers:
            if fault := offer.target_faults.get(voice):
                raise InvalidJob("convert.voice", f"RVC voice {voice!r} cannot be used: {fault}")
        names = list(known)
        obstacles = " ".join(sorted({offer.obstacle for offer in self.offers if offer.obstacle}))
        hint = f" {obstacles}" if obstacles and not names else _near(voice, names)
        raise InvalidJob(
            "convert.voice",
            f"the farm has no RVC voice {voice!r}; `voicefarm voices ls` shows all, "
            f"`voicefarm voices add` adds one.{hint}",
        )

    def speaks(self, voice: str, language: str) -> bool:
        """True if some engine has this voice and some engine speaks this language."""
        return any(known.name == voice for known in self.voices) and any(
            language in offer.languages for offer in self.offers
        )

    def check(self, voice: str, language: str) -> None:
        """Raise `InvalidJob` if no engine of the farm has this voice or this language."""
        if not self.offers:
            return
        names = {known.name for known in self.voices}
        if voice not in names:
            for offer in self.offers:
                if fault := offer.faults.get(voice):
                    raise InvalidJob("voice", f"voice {voice!r} cannot be used: {fault}")
            hint = _near(voice, names)
            raise InvalidJob(
                "voice", f"the farm has no voice {voice!r}; `voicefarm voices ls` shows all.{hint}"
            )
        speaks = {code for offer in self.offers for code in offer.languages}
        if language not in speaks:
            raise InvalidJob(
                "language",
                f"no engine of the farm speaks {language!r}; these are spoken: "
                + " ".join(sorted(speaks)),
            )


def _unmoved(voice: TargetVoice) -> str:
    """Say why a voice cannot be moved as it is wanted, and what to do."""
    if not voice.has_pitch:
        return f"voice {voice.name!r} was trained without pitch: it takes 0 alone"
    return (
        f"the middle of the pitch of voice {voice.name!r} is not known, and auto needs it: "
        "give a number of semitones, or add the voice again with --pitch-from or --pitch-hz"
    )


def _near(voice: str, names: Iterable[str]) -> str:
    near = get_close_matches(voice, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
