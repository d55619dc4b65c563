"""The voice library: voices made of people's recordings, one safetensors file each.

    models/voices/<name>.safetensors    latents [32, D], embedding [E], a card as metadata

A voice belongs to what made it, a model file and the settings of its hearing, and is offered with
no other. Files are written beside their place and renamed, so that a reader sees a whole one or
none. A name is small letters, digits and hyphens, and so never a path.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import CheckpointError, LibraryError
from ..names import check_name, is_plain
from .sample import Sample

#: Under which the card stands in a file's metadata, whose values are strings.
_CARD: Final = "voicefarm"

_SUFFIX: Final = ".safetensors"

#: Inode, time of change in ns, and size of a file.
Stamp = tuple[int, int, int]

#: The tensors of a voice.
_PARTS: Final = ("latents", "embedding")


class SampleCard(BaseModel):
    """What is remembered of a recording: enough to know it again, not where it came from."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    rate_hz: int
    channels: int
    duration_s: float

    @classmethod
    def of(cls, sample: Sample) -> Self:
        """Describe a sample."""
        return cls(
            sha256=sample.sha256,
            rate_hz=sample.rate_hz,
            channels=sample.channels,
            duration_s=round(sample.duration_s, 3),
        )


class VoiceCard(BaseModel):
    """Where a voice comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    name: str
    #: Hash of the samples, in order, of the settings and of the model.
    key: str
    #: See `Maker`, as for `settings`.
    model: str
    settings: dict[str, int | bool]
    samples: tuple[SampleCard, ...]
    #: What the person who added the voice has stated.
    consent: str
    #: ISO 8601, UTC.
    created_at: str


@dataclass(frozen=True, slots=True)
class Maker:
    """What decides a voice beside its samples. The rest of a checkpoint may change."""

    #: `archive.fingerprint` of the model file.
    model: str
    #: Of how samples are heard.
    settings: Mapping[str, int | bool]

    def has_made(self, card: VoiceCard) -> bool:
        """Tell whether a voice is one of this model."""
        return (card.model, card.settings) == (self.model, self.settings)


@dataclass(frozen=True, slots=True, eq=False)
class KeptVoice:
    """A voice as it is kept."""

    card: VoiceCard
    latents: npt.NDArray[np.float32]  # [32, D]
    embedding: npt.NDArray[np.float32]  # [E]


class VoiceLibrary:
    """The voices in one directory, which need not exist. Knows no torch."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def stamps(self) -> dict[str, Stamp]:
        """Return a stamp of every voice's file by its name: another file has another stamp.

        Raises `OSError` for a directory that cannot be listed.
        """
        found: dict[str, Stamp] = {}
        try:
            for file in sorted(self.directory.iterdir()):
                if file.suffix == _SUFFIX and is_plain(file.stem):
                    found |= _stamped(file)
        except FileNotFoundError:
            # There is no directory.
            return {}
        return found

    def voice_of(self, maker: Maker, name: str) -> KeptVoice:
        """Return a voice that `maker` has made. Raises as `read` does, also for that of another."""
        voice = self.read(name)
        if not maker.has_made(voice.card):
            raise CheckpointError(
                self._file(name),
                "was made with another model.pth, or with other settings of how recordings are "
                "heard; add it again",
            )
        return voice

    def read(self, name: str) -> KeptVoice:
        """Read one voice. Raises `LibraryError` for a name of none, `CheckpointError`."""
        file = self._file(name)
        card = read_card(file)
        try:
            with safe_open(file, "np") as tensors:
                latents, embedding = (tensors.get_tensor(part) for part in _PARTS)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(file, f"cannot be read: {error}") from error
        return KeptVoice(card, latents, embedding)

    def cards(self) -> dict[str, VoiceCard | CheckpointError]:
        """Return the card of every voice by its name, or what is wrong with its file."""
        found: dict[str, VoiceCard | CheckpointError] = {}
        for file in self._files():
            try:
                found[file.stem] = read_card(file)
            except CheckpointError as error:
                found[file.stem] = error
        return found

    def add(self, voice: KeptVoice) -> Path:
        """Keep a voice; one of the same name is replaced. Raises `LibraryError`."""
        file = self._file(voice.card.name)
        part = file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part")
        tensors = dict(zip(_PARTS, (voice.latents, voice.embedding), strict=True))
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as output:
                output.write(save(tensors, {_CARD: voice.card.model_dump_json()}))
                output.flush()
                os.fsync(output.fileno())
            part.replace(file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise LibraryError(f"{file}: cannot be written: {error.strerror}") from error
        return file

    def remove(self, name: str) -> None:
        """Delete a voice. Raises `LibraryError` if there is none of this name."""
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise LibraryError(f"there is no voice {name!r} in {self.directory}") from None

    def _file(self, name: str) -> Path:
        check_name(name)
        return self.directory / (name + _SUFFIX)

    def _files(self) -> Iterator[Path]:
        for file in sorted(self.directory.glob(f"*{_SUFFIX}")):
            if is_plain(file.stem):
                yield file


def _stamped(file: Path) -> dict[str, Stamp]:
    try:
        facts = file.stat()
    except FileNotFoundError:
        return {}  # it has just left
    return {file.stem: (facts.st_ino, facts.st_mtime_ns, facts.st_size)}


def read_card(file: Path) -> VoiceCard:
    """Read where a voice comes from. Raises `CheckpointError`."""
    try:
        with safe_open(file, "np") as tensors:
            metadata = tensors.metadata() or {}
        card = VoiceCard.model_validate_json(metadata[_CARD])
    except KeyError as error:
        raise CheckpointError(file, "is no voice of this farm: it has no card") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(file, f"has a card that is wrong: {where}: {first['msg']}") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(file, f"cannot be read: {error}") from error
    if card.name != file.stem:
        raise CheckpointError(file, f"is the voice {card.name}; give the file that name again")
    return card
