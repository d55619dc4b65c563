"""A store that keeps nothing, to measure a farm without its disk. For benchmarks only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from producer.job import OutputSpec

from .audio import EntryFormat, choose_rate
from .engine.request import Samples
from .errors import NoEncoder
from .manifest import Facts, Manifest
from .staged import Entry, Publish


class NullStore:
    """Stands where `Store` does and throws the audio away: never use it for real jobs."""

    def prepare(self) -> None:
        """Nothing has to be there."""

    def prove(self) -> None:
        """Nothing is written."""

    def find(self, key: str, format: EntryFormat) -> Entry | None:
        """Nothing was kept."""

    def verify(self, entry: Entry) -> bool:
        """No file is there to be good."""
        return False

    def stage_files(self, key: str) -> AbstractContextManager[tuple[Path, Publish]]:
        """A book without files is none: raise `NoEncoder`."""
        raise NoEncoder("this worker keeps no files")

    @contextmanager
    def stage(self, key: str, output: OutputSpec, native_rate_hz: int) -> Iterator[NullStaged]:
        """Give a place that only counts."""
        yield NullStaged(key, output, native_rate_hz)


class NullStaged:
    """Counts samples. Its entry has the path `""`, no bytes and no hash."""

    def __init__(self, key: str, output: OutputSpec, native_rate_hz: int) -> None:
        self._key = key
        self._format = output.format
        self._native_rate_hz = native_rate_hz
        self._rate_hz = choose_rate(output, native_rate_hz)
        self._samples = 0

    def write(self, samples: Samples, rate_hz: int) -> None:
        """Count one chunk."""
        self._samples += len(samples)

    def commit(self, facts: Facts) -> Entry:
        """Return the facts that a real entry would have."""
        manifest = Manifest(
            **facts.model_dump(),
            content_key=self._key,
            format=self._format,
            sha256="",
            size_bytes=0,
            samples=round(self._samples * self._rate_hz / self._native_rate_hz),
            sample_rate_hz=self._rate_hz,
        )
        return Entry("", manifest)
