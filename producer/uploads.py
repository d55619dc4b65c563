"""Putting a file onto the farm's `uploads` volume, under the hash of its content.

    uploads/<first two of sha256>/<sha256>

The same content lies there once, whatever it was called. It is copied beside its place and
renamed, so that a worker sees the whole of it or nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from pathlib import Path
from typing import BinaryIO, Final

from .errors import InvalidJob, VolumeUnavailable
from .volumes import Volumes

#: How much is copied at once.
_PIECE_BYTES: Final = 1 << 20


def put(volumes: Volumes, file: Path | str) -> str:
    """Return the sha256 of a file that is on the volume now.

    Raises `InvalidJob` for a file that cannot be read or is empty, and `VolumeUnavailable` where
    the volume is not to be seen or takes nothing: the worker could not find the file either.
    """
    if not volumes.uploads.is_dir():
        raise VolumeUnavailable(
            str(volumes.uploads), "is not to be seen from here, and a file to convert must go there"
        )
    source = Path(file)
    try:
        with source.open("rb") as content:
            return _put(volumes, content)
    except OSError as error:
        if isinstance(error, VolumeUnavailable):
            raise
        raise InvalidJob("file", f"{source} cannot be read: {error.strerror}") from error


def put_bytes(volumes: Volumes, content: bytes) -> str:
    """Do what `put` does with what is in memory."""
    if not volumes.uploads.is_dir():
        raise VolumeUnavailable(str(volumes.uploads), "is not to be seen from here")
    return _put(volumes, io.BytesIO(content))


def _put(volumes: Volumes, content: BinaryIO) -> str:
    """Copy first and look then: the file may change while it is read."""
    part = volumes.uploads / f".{secrets.token_hex(8)}.part"
    try:
        try:
            key, size_bytes = _copied(content, part)
        except _VolumeFails as error:
            raise VolumeUnavailable(str(volumes.uploads), error.args[0]) from error
        if not size_bytes:
            raise InvalidJob("file", "is empty")
        target = volumes.upload(key)
        try:
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
        except OSError as error:
            raise VolumeUnavailable(str(target), error.strerror or "") from error
        return key
    finally:
        part.unlink(missing_ok=True)


class _VolumeFails(Exception):
    """The volume does not take what the file holds; says why."""


def _copied(content: BinaryIO, part: Path) -> tuple[str, int]:
    """Copy all of `content` and make it durable; return its sha256 and its size."""
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        target = part.open("xb")
    except OSError as error:
        raise _VolumeFails(error.strerror or "cannot be written") from error
    with target:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
            size_bytes += len(piece)
            _write(target, piece)
        _write(target, b"")
    return digest.hexdigest(), size_bytes


def _write(target: BinaryIO, piece: bytes) -> None:
    """Write a piece; an empty one makes all of them durable."""
    try:
        target.write(piece)
        if not piece:
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise _VolumeFails(error.strerror or "cannot be written") from error
