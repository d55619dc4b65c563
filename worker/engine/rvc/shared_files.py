"""The files that all RVC voices share, by their published names. Knows no torch.

models/rvc/hubert_base.pt      or a folder `hubert_base` of Hugging Face
models/rvc/rmvpe.pt
models/rvc/voices/             see `library`
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

#: HuBERT, as one of these.
CONTENT_FILES: Final = ("hubert_base.pt", "hubert_base")

PITCH_FILE: Final = "rmvpe.pt"

VOICES: Final = "voices"


def content_file(directory: Path) -> Path | None:
    """Return where HuBERT is, None if it is not there."""
    return next((found for name in CONTENT_FILES if (found := directory / name).exists()), None)


def missing_files(directory: Path) -> tuple[str, ...]:
    """Return the names of what is not in `directory` and no voice can be used without."""
    found = {
        " or ".join(CONTENT_FILES): content_file(directory) is not None,
        PITCH_FILE: (directory / PITCH_FILE).is_file(),
    }
    return tuple(name for name, is_there in found.items() if not is_there)


def hash_of(path: Path) -> str:
    """Return the sha256 of a file, or of all files of a folder with their names."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(one for one in path.iterdir() if one.is_file()):
        digest.update(f"{file.name}\0{hash_of(file)}\n".encode())
    return digest.hexdigest()
