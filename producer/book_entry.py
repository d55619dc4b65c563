"""The files of a finished book, as the store keeps them beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from .errors import VolumeUnavailable

#: The main file of a book, whatever its kind, is called so.
BOOK_STEM: Final = "book"

#: The manifest of an entry.
_MANIFEST: Final = "job.json"


def files_of(main: Path) -> list[Path]:
    """Return all files of the entry whose main file is `main`, that one first.

    Raises `VolumeUnavailable` for an entry that cannot be read.
    """
    manifest = main.parent / _MANIFEST
    try:
        book = json.loads(manifest.read_bytes()).get("book") or {}
        names = [str(file["name"]) for file in book.get("files", ())]
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise VolumeUnavailable(str(manifest), f"cannot be read: {error}") from error
    # Only names: nothing outside of the entry is ever its file.
    return [main, *(main.parent / Path(name).name for name in names)]
