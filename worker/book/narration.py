"""The samples of a book in order: its parts at one rate, with silence between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from producer.volumes import Volumes

from ..audio import Resampler
from ..engine.request import Samples
from ..errors import BadAudio
from ..staged import storing
from .gathering import BookChapter
from .timeline import Pauses

#: Samples that are read at once, so few that a processor's cache holds what is reckoned with them.
BLOCK_SAMPLES: Final = 16_384


class Narration:
    """One hearing of all parts. What is held is one block."""

    def __init__(
        self,
        volumes: Volumes,
        chapters: Sequence[BookChapter],
        rate_hz: int,
        on_part: Callable[[float], None] = lambda audio_s: None,
    ) -> None:
        """`on_part` is called behind each part with the seconds so far; it may raise."""
        self._volumes = volumes
        self._chapters = chapters
        self._rate_hz = rate_hz
        self._pauses = Pauses.at(rate_hz)
        self._on_part = on_part
        self._given = 0
        #: How many samples each part has that was given, by chapters.
        self.lengths: list[list[int]] = []

    def blocks(self) -> Iterator[Samples]:
        """Yield mono float32 at the book's rate. Raises `BadAudio`, or `StoreFailed`."""
        for chapter in self._chapters:
            self.lengths.append([])
            for number, part in enumerate(chapter.parts):
                yield from self._counted(
                    silence(self._pauses.between if number else self._pauses.head)
                )
                before = self._given
                for block in read(self._volumes.locate(part.file), self._rate_hz):
                    yield from self._counted(block)
                self.lengths[-1].append(self._given - before)
                self._on_part(self._given / self._rate_hz)
            yield from self._counted(silence(self._pauses.tail))

    def _counted(self, samples: Samples) -> Iterator[Samples]:
        if len(samples):
            self._given += len(samples)
            yield samples


def read(path: Path, rate_hz: int) -> Iterator[Samples]:
    """Yield a file as mono float32 of this rate. Raises `BadAudio`, or `StoreFailed`."""
    # Opened here: libsndfile would not say why it cannot.
    with storing(path), path.open("rb") as content:
        try:
            with soundfile.SoundFile(content) as file:
                resampler = Resampler(file.samplerate, rate_hz)
                for block in file.blocks(BLOCK_SAMPLES, dtype="float32", always_2d=True):
                    yield resampler.convert(block[:, 0])
                yield resampler.flush()
        except soundfile.SoundFileError as error:
            raise BadAudio(f"{path} cannot be read: {error}") from error


def rate_of(path: Path) -> int:
    """Return the rate of a file in Hz. Raises `BadAudio`, or `StoreFailed`."""
    with storing(path), path.open("rb") as content:
        try:
            return int(soundfile.info(content).samplerate)
        except soundfile.SoundFileError as error:
            raise BadAudio(f"{path} cannot be read: {error}") from error


def silence(samples: int) -> Samples:
    """Return as many samples of nothing."""
    return np.zeros(samples, np.float32)
