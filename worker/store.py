"""The store: the only code that writes to the `processed` volume.

    processed/<first two of key>/<key>/audio.<format>   the audio
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
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from producer.job import AudioFormat, OutputSpec
from producer.volumes import Volumes

from .audio import AudioWriter, EncoderError, Resampler, check_samples, choose_rate, file_name
from .durability import Durability
from .engine.request import Samples
from .errors import BadAudio, StoreFailed, store_error
from .manifest import Facts, Manifest

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored file."""

    #: Relative to the farm's home, as the ledger names it.
    path: str
    manifest: Manifest


class Store:
    """Finds and keeps entries by content key. Thread-safe, and safe beside other workers."""

    def __init__(self, volumes: Volumes, durability: Durability) -> None:
        self._volumes = volumes
        self._durability = durability
        self._staging = volumes.processed / STAGING

    def prepare(self) -> None:
        """Make the directories, prove that they can be written, drop what dead workers left.

        Raises `StoreFailed`.
        """
        probe = self._fresh()
        with _storing(self._volumes.processed):
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

    def find(self, key: str, format: AudioFormat) -> Entry | None:
        """Return the entry of `key`, or None where there is none that is whole.

        Raises `ValueError` for what is no key or no format, `StoreFailed` if the volume
        cannot be read.
        """
        directory = self._volumes.entry(key)
        audio = directory / file_name(format)
        with _storing(directory):
            try:
                manifest = Manifest.decode((directory / MANIFEST).read_bytes())
                size_bytes = audio.stat().st_size
            except (FileNotFoundError, NotADirectoryError, ValueError):
                return None
        if (manifest.content_key, manifest.format) != (key, format):
            return None
        if not 0 < size_bytes == manifest.size_bytes:
            return None
        return self._entry(manifest) if _touched(directory / MANIFEST) else None

    def verify(self, entry: Entry) -> bool:
        """Read the whole file again: True if it is still what the manifest says."""
        audio = self._volumes.locate(entry.path)
        with _storing(audio):
            try:
                return _sha256(audio) == entry.manifest.sha256
            except FileNotFoundError:
                return False

    @contextmanager
    def stage(self, key: str, output: OutputSpec, native_rate_hz: int) -> Iterator[Staged]:
        """Give a place to write the audio of `key`; what was not committed goes at the end.

        Raises `ValueError` for what is no key, and `StoreFailed`.
        """
        self._volumes.entry(key)
        directory = self._fresh()
        try:
            with _storing(directory):
                # `processed` itself is never made here: where its volume is not mounted,
                # the files would end up on the disk beneath.
                self._staging.mkdir(exist_ok=True)
                directory.mkdir()
                staged = Staged(directory, key, output, native_rate_hz, self._publish)
            with closing(staged):
                yield staged
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _publish(self, staged: Path, manifest: Manifest) -> Entry:
        """Make `staged` the entry of its key, unless a whole one is there; return that entry."""
        target = self._volumes.entry(manifest.content_key)
        (staged / MANIFEST).write_text(manifest.encode(), encoding="utf-8")
        self._durability.flush(staged)
        target.parent.mkdir(exist_ok=True)
        winner = None if _moved(staged, target) else self._yield_or_replace(staged, manifest)
        self._durability.flush(target)
        return winner or self._entry(manifest)

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

    def _entry(self, manifest: Manifest) -> Entry:
        audio = self._volumes.entry(manifest.content_key) / file_name(manifest.format)
        return Entry(audio.relative_to(self._volumes.home).as_posix(), manifest)

    def _fresh(self) -> Path:
        return self._staging / uuid.uuid4().hex


class Staged:
    """The chunks of one job on their way into one file, in order."""

    def __init__(
        self,
        directory: Path,
        key: str,
        output: OutputSpec,
        native_rate_hz: int,
        publish: Callable[[Path, Manifest], Entry],
    ) -> None:
        self._directory = directory
        self._audio = directory / file_name(output.format)
        self._key = key
        self._format = output.format
        self._native_rate_hz = native_rate_hz
        self._rate_hz = choose_rate(output, native_rate_hz)
        self._publish = publish
        self._resampler = Resampler(native_rate_hz, self._rate_hz)
        self._writer = AudioWriter(self._audio, self._format, self._rate_hz)

    def write(self, samples: Samples, rate_hz: int) -> None:
        """Append one chunk: mono float32 at the engine's rate.

        Raises `BadAudio` for samples of another rate or that are not finite, and
        `StoreFailed` if the volume does not take them.
        """
        if rate_hz != self._native_rate_hz:
            raise BadAudio(f"a chunk of {rate_hz} Hz in a job of {self._native_rate_hz} Hz")
        check_samples(samples)
        with _storing(self._audio):
            self._writer.write(self._resampler.convert(samples))

    def commit(self, facts: Facts) -> Entry:
        """End the file and publish it, durable; return the key's entry, ours or an earlier one.

        Raises `BadAudio` if nothing was written, and `StoreFailed`.
        """
        with _storing(self._audio):
            self._writer.write(self._resampler.flush())
            self._writer.close()
            if not self._writer.samples:
                raise BadAudio("the job has no sample of audio")
            manifest = Manifest(
                **facts.model_dump(),
                content_key=self._key,
                format=self._format,
                sha256=_sha256(self._audio),
                size_bytes=self._audio.stat().st_size,
                samples=self._writer.samples,
                sample_rate_hz=self._rate_hz,
            )
            return self._publish(self._directory, manifest)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        with suppress(OSError, EncoderError):
            self._writer.close()


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Turn what disk and encoder raise into `StoreFailed` and its kinds."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path) from error
    except EncoderError as error:
        raise StoreFailed(path, str(error)) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path` alone among threads and processes; a death lets it go."""
    # Opened for writing, or a network volume would not lock it.
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _moved(staged: Path, target: Path) -> bool:
    """Rename `staged` to `target`; False if something is there."""
    try:
        staged.rename(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
