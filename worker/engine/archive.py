"""Reading the `.pth` files that people have, without running anything that is in them.

A `.pth` file is a zip archive: one pickle that says what there is, and the bytes of each tensor.
The pickle may build tensors and plain containers. Names that a kind of file is known to carry
become empty stand-ins; any other name is refused. The bytes are mapped, not read: what is never
looked at never costs memory.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import torch

from .errors import CheckpointError

#: How weight norm named its two tensors before torch 2.1, and since.
_NORM_NAMES: Final = (
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)


class StandIn:
    """Takes the place of an object that is not wanted, and keeps nothing of it."""

    def __new__(cls, *_arguments: object) -> StandIn:
        """Ignore what the object would have been made of."""
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        """Ignore it here too."""

    def __setstate__(self, _state: object) -> None:
        """Ignore what the object would have held."""


def read_archive(file: Path, stood_in_for: Collection[str] = ()) -> Any:
    """Return what a file holds, its tensors mapped copy-on-write on the CPU.

    Raises `CheckpointError` if it is missing or broken, and for a pickle that asks for any name
    beyond `stood_in_for`: the error tells the name, and nothing was called.
    """
    try:
        with torch.serialization.safe_globals([(StandIn, name) for name in stood_in_for]):
            return torch.load(
                file, map_location="cpu", mmap=zipfile.is_zipfile(file), weights_only=True
            )
    # A damaged file makes the reader stumble in any way there is.
    except Exception as error:
        raise CheckpointError(file, _fault(file, error)) from error


def fingerprint(file: Path) -> str:
    """Return a hash of the contents: it changes when a tensor, its name or its shape changes.

    It is taken from the archive's own table (name, length and CRC-32 of every member), so that
    it costs no second reading of gigabytes. Bytes that were damaged later, under an unchanged
    table, keep the fingerprint. The name of the file and of its folder have no part in it.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                # The first part is the name under which the file was once saved.
                name = member.filename.partition("/")[2]
                digest.update(f"{name}\0{member.file_size}\0{member.CRC}\n".encode())
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(file, _fault(file, error)) from error
    return digest.hexdigest()


def name_of_today(name: str) -> str:
    """Return a tensor's name with the two of weight norm as torch has named them since 2.1."""
    for old, new in _NORM_NAMES:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _fault(file: Path, error: Exception) -> str:
    # Only what comes from opening the file knows its name.
    if isinstance(error, OSError) and error.filename:
        return f"cannot be read: {error.strerror}"
    wanted = re.search(r"GLOBAL (\S+)", str(error))
    if wanted:
        return f"wants to call {wanted[1]}, which no model needs; it was not called"
    if not zipfile.is_zipfile(file):
        return "is no archive of torch.save, or only a part of one"
    return f"is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
