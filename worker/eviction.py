"""Eviction: files that are removed while workers may be about to use them.

A file is moved aside first, then looked at again. Whoever uses it touches it, as the last thing
before relying on it: so either the touch is seen here and the file goes back, or it fails there
and the file is not found.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from producer.content_key import is_key
from producer.volumes import Volumes

from .store import MANIFEST, STAGING
from .tidiness import Thing

#: Beside uploads: whose name ends like this is on its way in, or out.
PART: Final = ".part"


class EntryShelf:
    """The entries of `processed`, by content key."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def things(self) -> Iterator[Thing]:
        """Yield all entries; an entry's manifest is touched by each job that uses it."""
        for directory in self._volumes.processed.glob("??/*"):
            if is_key(directory.name) and (thing := _measured(directory)):
                yield thing

    def use(self, key: str) -> None:
        """Note that an entry is used, if it is there."""
        with suppress(FileNotFoundError):
            os.utime(self._volumes.entry(key) / MANIFEST)

    def remove(self, thing: Thing) -> bool:
        """Remove an entry; False if it was used meanwhile, or is gone."""
        aside = self._volumes.processed / STAGING / uuid.uuid4().hex
        return _moved_out(self._volumes.entry(thing.name), aside, thing)


class UploadShelf:
    """The files of `uploads`, by the hash of their content."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def things(self) -> Iterator[Thing]:
        """Yield all uploads; one that is uploaded again is a new file."""
        for file in self._volumes.uploads.glob("??/*"):
            if is_key(file.name) and (thing := _measured(file)):
                yield thing

    def remove(self, thing: Thing) -> bool:
        """Remove an upload; False if it was uploaded again meanwhile, or is gone."""
        aside = self._volumes.uploads / f".{uuid.uuid4().hex}{PART}"
        return _moved_out(self._volumes.upload(thing.name), aside, thing)


class Leavings:
    """What processes leave in a directory where nothing lies for long."""

    def __init__(self, directory: Path, pattern: str = "*") -> None:
        self._directory = directory
        self._pattern = pattern

    def things(self) -> Iterator[Thing]:
        """Yield all that lies there."""
        for path in self._directory.glob(self._pattern):
            if thing := _measured(path):
                yield thing

    def remove(self, thing: Thing) -> bool:
        """Remove it; False if it is gone."""
        return _removed(self._directory / thing.name)


def _measured(path: Path) -> Thing | None:
    """Return a file, or a directory with all that is in it; None if it is gone."""
    try:
        if path.is_dir() and not path.is_symlink():
            facts = [inside.lstat() for inside in (path, *path.rglob("*"))]
            manifest = path / MANIFEST
            # Of an entry, the time of its manifest is the time of its last use.
            written_s = max(fact.st_mtime for fact in facts)
            used_s = manifest.stat().st_mtime if manifest.is_file() else written_s
            return Thing(path.name, sum(fact.st_size for fact in facts[1:]), used_s)
        facts_of_file = path.lstat()
    except FileNotFoundError:
        return None
    return Thing(path.name, facts_of_file.st_size, facts_of_file.st_mtime)


def _moved_out(path: Path, aside: Path, thing: Thing) -> bool:
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    moved = _measured(aside)
    if moved is not None and moved.used_s != thing.used_s:
        try:
            aside.rename(path)
        except OSError:  # it has been made again
            _removed(aside)
        return False
    return _removed(aside)


def _removed(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
