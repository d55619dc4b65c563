"""Voices by name, and what the farm's engines say they can speak.

A worker that becomes ready writes what its engine offers into the broker; the client reads
it to refuse an unknown voice or language before anything is queued. Where no worker has
ever been ready nothing is known, and the worker decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ConfigDict

from .errors import InvalidJob

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


class Offer(BaseModel):
    """What one engine can speak, as its worker announced it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    engine: str
    revision: str
    languages: tuple[str, ...]
    voices: tuple[Voice, ...]


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
            near = get_close_matches(voice, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
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
