"""The RVC voices in one directory: files of people checked and added, listed, read, removed.

    <directory>/<name>.safetensors      see `shelf_file`

A name is small letters, digits and hyphens, and so never a path.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..errors import CheckpointError, LibraryError
from ..names import check_name, is_plain
from .index_file import IndexFile, read_index
from .pitch_curve import HIGHEST_HZ, LOWEST_HZ
from .shelf_file import (
    ShelfCard,
    ShelvedVoice,
    read_card,
    read_shelved,
    revision_of,
    write_shelved,
)
from .voice_file import read_voice

_SUFFIX: Final = ".safetensors"


@dataclass(frozen=True, slots=True)
class _Known:
    """A card, and the state of the file that it was read from."""

    state: tuple[int, int, int]
    card: ShelfCard


class RvcLibrary:
    """The voices in a directory, which need not exist. Any thread may call."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._known: dict[str, _Known] = {}

    def add(
        self, name: str, model: Path, index: Path | None = None, *, median_hz: float | None = None
    ) -> ShelfCard:
        """Check a `.pth`, and an `.index`, and keep them as a voice; one of that name is replaced.

        `median_hz` is the middle of the voice's own pitch, for `pitch="auto"`. Raises
        `CheckpointError` for a file that cannot be used, `LibraryError` for a name, a pitch or a
        disk.
        """
        check_name(name)
        if median_hz is not None and not LOWEST_HZ <= median_hz <= HIGHEST_HZ:
            raise LibraryError(
                f"a voice at {median_hz:g} Hz cannot be followed: its pitch lies between "
                f"{LOWEST_HZ:g} and {HIGHEST_HZ:g} Hz"
            )
        weights = read_voice(model)
        vectors = read_index(index) if index is not None else None
        if index is not None and vectors is not None:
            _check_together(index, vectors, weights.config.features)
        card = ShelfCard(
            name=name,
            revision=revision_of(weights, vectors, median_hz),
            config=weights.config.fields(),
            vectors=0 if vectors is None else len(vectors.vectors),
            median_hz=median_hz,
            model_sha256=_sha256(model),
            index_sha256=None if index is None else _sha256(index),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        file = self._file(name)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_shelved(ShelvedVoice(card, weights, vectors), file)
        except OSError as error:
            raise LibraryError(f"{file}: cannot be written: {error.strerror}") from error
        return card

    def remove(self, name: str) -> None:
        """Delete a voice. Raises `LibraryError` if there is none of this name."""
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise self._unknown(name) from None

    def cards(self) -> dict[str, ShelfCard | CheckpointError]:
        """Return the card of every voice by its name, or what is wrong with its file."""
        found: dict[str, ShelfCard | CheckpointError] = {}
        for file in sorted(self.directory.glob(f"*{_SUFFIX}")):
            if not is_plain(file.stem):
                continue
            try:
                found[file.stem] = self.card(file.stem)
            except CheckpointError as error:
                found[file.stem] = error
            except LibraryError:
                continue  # it has been removed meanwhile
        return found

    def card(self, name: str) -> ShelfCard:
        """Return what a voice is, as its file has it now. Raises as `read` does."""
        file = self._file(name)
        try:
            found = file.stat()
        except OSError:
            raise self._unknown(name) from None
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = self._known.get(name)
        if known is None or known.state != state:
            known = self._known[name] = _Known(state, read_card(file))
        return known.card

    def read(self, name: str) -> ShelvedVoice:
        """Read a voice. Raises `LibraryError` if there is none, `CheckpointError`."""
        self.card(name)
        return read_shelved(self._file(name))

    def check(self, name: str) -> ShelfCard:
        """Read a voice and compare it with its revision. Raises as `read` does."""
        found = self.read(name)
        card = found.card
        if revision_of(found.weights, found.index, card.median_hz) != card.revision:
            raise CheckpointError(self._file(name), "is not what was written: add it again")
        return card

    def _file(self, name: str) -> Path:
        check_name(name)
        return self.directory / (name + _SUFFIX)

    def _unknown(self, name: str) -> LibraryError:
        return LibraryError(f"there is no voice {name!r} in {self.directory}")


def _check_together(file: Path, index: IndexFile, width: int) -> None:
    if index.vectors.shape[1] != width:
        raise CheckpointError(
            file,
            f"has vectors of {index.vectors.shape[1]}, and the voice's features are {width} wide: "
            "it belongs to another voice",
        )


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(file, f"cannot be read: {error.strerror}") from error
