"""Staged: the file of one entry on its way into the store, and the entry that it becomes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from producer.job import OutputSpec

from .audio import AudioWriter, EncoderError, Resampler, check_samples, choose_rate, file_name
from .engine.affinity import unpinned
from .engine.request import Samples
from .errors import BadAudio, StoreFailed, store_error
from .level import Level
from .manifest import Facts, Manifest


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored file."""

    #: Relative to the farm's home, as the ledger names it.
    path: str
    manifest: Manifest


#: Publishes what was staged; returns the key's entry, ours or an earlier one.
Publish = Callable[[Manifest], Entry]

#: The same step by step: each directory that it yields must be durable before it goes on.
Steps = Generator[Path, None, Entry]


class Place(Protocol):
    """A directory for the files of one entry, and the way out of it."""

    directory: Path

    def publish(self, manifest: Manifest) -> Entry:
        """See `Publish`."""

    def steps(self, manifest: Manifest) -> Steps:
        """See `Steps`."""


class Staged:
    """The chunks of one job on their way into one file, in order."""

    def __init__(self, place: Place, key: str, output: OutputSpec, native_rate_hz: int) -> None:
        self._place = place
        self._audio = place.directory / file_name(output.format)
        self._key = key
        self._format = output.format
        self._native_rate_hz = native_rate_hz
        self._rate_hz = choose_rate(output, native_rate_hz)
        self._level = Level()
        self._resampler = Resampler(native_rate_hz, self._rate_hz)
        self._writer = AudioWriter(self._audio, self._format, self._rate_hz)

    @unpinned()
    def write(self, samples: Samples, rate_hz: int) -> None:
        """Append one chunk: mono float32 at the engine's rate.

        Raises `BadAudio` for samples of another rate or that are not finite, and
        `StoreFailed` if the volume does not take them.
        """
        if rate_hz != self._native_rate_hz:
            raise BadAudio(f"a chunk of {rate_hz} Hz in a job of {self._native_rate_hz} Hz")
        check_samples(samples)
        self._level.add(samples)
        with storing(self._audio):
            self._writer.write(self._resampler.convert(samples))

    def commit(self, facts: Facts) -> Entry:
        """End the file and publish it, durable; return the key's entry, ours or an earlier one.

        Raises `BadAudio` if nothing was written, and `StoreFailed`.
        """
        with storing(self._audio):
            return self._place.publish(self._sealed(facts))

    def steps(self, facts: Facts) -> Steps:
        """Do what `commit` does; whoever goes through the steps makes them durable."""
        with storing(self._audio):
            return (yield from self._place.steps(self._sealed(facts)))

    @unpinned()
    def _sealed(self, facts: Facts) -> Manifest:
        self._writer.write(self._resampler.flush())
        if not self._writer.samples:
            raise BadAudio("the job has no sample of audio")
        sha256, size_bytes = self._writer.seal()
        return Manifest(
            **facts.model_dump(),
            content_key=self._key,
            format=self._format,
            sha256=sha256,
            size_bytes=size_bytes,
            samples=self._writer.samples,
            sample_rate_hz=self._rate_hz,
            rms_db=round(self._level.rms_db, 2),
            peak_db=round(self._level.peak_db, 2),
        )

    def close(self) -> None:
        """Let go of the file, finished or not."""
        with suppress(OSError, EncoderError):
            self._writer.close()


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what disk and encoder raise into `StoreFailed` and its kinds."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path) from error
    except EncoderError as error:
        raise StoreFailed(path, str(error)) from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
