"""The store: the only code that writes to the `processed` volume.

    processed/<first two of key>/<key>/audio.<format>   the audio; of a book there are several files
                                       job.json         its manifest
    processed/.staging/<fresh name>/                    an entry on its way, or out
    processed/.lock                                     held while a broken entry is replaced

An entry is complete from the first moment that it can be seen: its files are made durable
in `.staging`, one rename of the directory publishes them, and the name is made durable
before anybody is told. A second writer of a key finds the first one's entry.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from producer.job import OutputSpec
from producer.volumes import Volumes

from .audio import (
    EntryFormat,
    file_name,
)
from .durability import Durability
from .errors import store_error
from .manifest import Manifest
from .staged import Entry, Publish, Staged, Steps, sha256_of, storing

#: Below `processed`, because a rename works only within one filesystem.
STAGING: Final = ".staging"
MANIFEST: Final = "job.json"
LOCK: Final = ".lock"

#: What was staged and then not written for so long has lost its owner: a live one, of this
#: worker or of another, is written with every take.
STALE_H: Final = 24.0

#: What a volume says that may only be read.
_READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM)

#: What a rename says when the entry is already there, whole or broken.
_TAKEN: Final = (errno.ENOTEMPTY, errno.EEXIST)


class Store:
    """Finds and keeps entries by content key. Thread-safe, and safe beside other workers."""

    def __init__(self, volumes: Volumes, durability: Durability) -> None:
        self._volumes = volumes
        self._durability = durability
        self._staging = volumes.processed / STAGING
        #: Names that no other store gives, and no call of the system for each.
        self._prefix, self._numbers = uuid.uuid4().hex, count()

    def prepare(self) -> None:
        """Make the directories, prove that they can be written, drop what dead workers left.

        Raises `StoreFailed`.
        """
        probe = self._fresh()
        with storing(self._volumes.processed):
            self._staging.mkdir(parents=True, exist_ok=True)
            try:
                probe.mkdir()
                (probe / "probe").write_bytes(b"\0")
                # The volume's own clock, which this machine's may not agree with.
                now_s = probe.stat().st_mtime
            finally:
                shutil.rmtree(probe, ignore_errors=True)
            for staged in self._staging.iterdir():
                if now_s - _last_written_s(staged, absent_s=now_s) > STALE_H * 3600:
                    shutil.rmtree(staged, ignore_errors=True)

    def find(self, key: str, format: EntryFormat) -> Entry | None:
        """Return the entry of `key`, or None where there is none that is whole.

        Raises `ValueError` for what is no key or no format, `StoreFailed` if the volume
        cannot be read.
        """
        directory = self._volumes.entry(key)
        audio = directory / file_name(format)
        with storing(directory):
            try:
                manifest = Manifest.decode((directory / MANIFEST).read_bytes())
                size_bytes = audio.stat().st_size
                sizes = [(directory / file.name).stat().st_size for file in manifest.files]
            except (FileNotFoundError, NotADirectoryError, ValueError):
                return None
        if (manifest.content_key, manifest.format) != (key, format):
            return None
        if not 0 < size_bytes == manifest.size_bytes:
            return None
        if sizes != [file.size_bytes for file in manifest.files]:
            return None
        return self._entry(manifest) if _touched(directory / MANIFEST) else None

    def verify(self, entry: Entry) -> bool:
        """Read the whole file again: True if it is still what the manifest says."""
        audio = self._volumes.locate(entry.path)
        with storing(audio):
            try:
                return sha256_of(audio) == entry.manifest.sha256
            except FileNotFoundError:
                return False

    def prove(self) -> None:
        """Raise `StoreFailed` if nothing can be written; one call of the system if all is well."""
        if os.access(self._volumes.processed, os.W_OK):
            return
        probe = self._fresh()
        # What is wrong is best told by what would fail.
        with storing(self._volumes.processed):
            _make_below(probe, self._staging)
            probe.rmdir()

    @contextmanager
    def stage(self, key: str, output: OutputSpec, native_rate_hz: int) -> Iterator[Staged]:
        """Give a place to write the audio of `key`; what was not committed goes at the end.

        Raises `ValueError` for what is no key, and `StoreFailed`.
        """
        with self._place(key) as place:
            with storing(place.directory):
                staged = Staged(place, key, output, native_rate_hz)
            with closing(staged):
                yield staged

    @contextmanager
    def stage_files(self, key: str) -> Iterator[tuple[Path, Publish]]:
        """Give a directory for the files of `key`, and what publishes it; see `stage`."""
        with self._place(key) as place:
            yield place.directory, place.publish

    def _entry(self, manifest: Manifest) -> Entry:
        """Return the entry that has this manifest."""
        audio = self._volumes.entry(manifest.content_key) / file_name(manifest.format)
        return Entry(audio.relative_to(self._volumes.home).as_posix(), manifest)

    @contextmanager
    def _place(self, key: str) -> Iterator[_Place]:
        self._volumes.entry(key)
        place = _Place(self._fresh(), self._durability, self._move)
        try:
            with storing(place.directory):
                _make_below(place.directory, self._staging)
            yield place
        finally:
            if place.is_left:
                shutil.rmtree(place.directory, ignore_errors=True)

    def _move(self, staged: Path, manifest: Manifest) -> _Moved:
        """Make `staged` the entry of its key, unless a whole one is there."""
        target = self._volumes.entry(manifest.content_key)
        winner = None if _moved(staged, target) else self._yield_or_replace(staged, manifest)
        return _Moved(target, winner or self._entry(manifest), is_left=winner is not None)

    def _yield_or_replace(self, staged: Path, manifest: Manifest) -> Entry | None:
        """Return the entry that was first, or None once ours stands in a broken one's place."""
        target = self._volumes.entry(manifest.content_key)
        # Under a lock, or of two who see the same broken entry the second could throw out
        # what the first has just put there.
        with _locked(self._volumes.processed / LOCK):
            while not _moved(staged, target):
                winner = self.find(manifest.content_key, manifest.format)
                if winner is not None:
                    return winner
                aside = self._fresh()
                target.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
        return None

    def _fresh(self) -> Path:
        return self._staging / f"{self._prefix}-{next(self._numbers)}"


@dataclass(frozen=True, slots=True)
class _Moved:
    """What has become of a staged directory."""

    target: Path
    #: Ours or an earlier one.
    entry: Entry
    #: True if the directory is still where it was staged.
    is_left: bool


class _Place:
    """A `Place` below `.staging`."""

    def __init__(
        self, directory: Path, durability: Durability, move: Callable[[Path, Manifest], _Moved]
    ) -> None:
        self.directory = directory
        self.is_left = True
        self._durability = durability
        self._move = move

    def publish(self, manifest: Manifest) -> Entry:
        """See `Publish`."""
        steps = self.steps(manifest)
        self._durability.publish(next(steps), lambda: next(steps))
        return _last(steps)

    def steps(self, manifest: Manifest) -> Steps:
        """See `Steps`."""
        _write(self.directory / MANIFEST, manifest.encode().encode())
        yield self.directory
        moved = self._move(self.directory, manifest)
        self.is_left = moved.is_left
        yield moved.target
        return moved.entry


def _last(steps: Steps) -> Entry:
    """Go the last step."""
    try:
        next(steps)
    except StopIteration as end:
        entry: Entry = end.value
        return entry
    raise RuntimeError("there were more steps")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path` alone among threads and processes; a death lets it go."""
    # Opened for writing, or a network volume would not lock it.
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _moved(staged: Path, target: Path) -> bool:
    """Rename `staged` to `target`, whose parent need not be there; False if something is."""
    try:
        try:
            staged.rename(target)
        except FileNotFoundError:
            target.parent.mkdir(exist_ok=True)
            staged.rename(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _make_below(directory: Path, parent: Path) -> None:
    """Make a directory, and its parent where that is missing, but nothing above it.

    `processed` itself is never made: where its volume is not mounted, the files would end up on
    the disk beneath.
    """
    try:
        directory.mkdir()
    except FileNotFoundError:
        parent.mkdir(exist_ok=True)
        directory.mkdir()


def _write(file: Path, content: bytes) -> None:
    """Write a small file. `Path.write_bytes` takes the system twice as many calls."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _touched(manifest: Path) -> bool:
    """Note that an entry is used, for the housekeeping; False if it has just gone."""
    try:
        os.utime(manifest)
    except FileNotFoundError:
        return False
    except OSError as error:
        # Where it cannot be noted, nothing can be removed either.
        if error.errno not in _READ_ONLY:
            raise store_error(error, manifest) from error
    return True


def _last_written_s(staged: Path, absent_s: float) -> float:
    """Return when the directory or a file in it was changed; `absent_s` if it went away."""
    try:
        return max(path.stat().st_mtime for path in (staged, *staged.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        return absent_s
