"""Audio on its way into a file: its rate, its 16-bit samples, its encoder.

All streams: what is held in memory is one write, whatever the length of the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from producer.book_entry import BOOK_STEM
from producer.job import RATES_OF, AudioFormat, OutputSpec

from .engine.request import Samples
from .errors import BadAudio, StoreFailed

#: What the encoder may raise of itself; a failing disk is always an `OSError`.
EncoderError = soundfile.SoundFileError

#: What an entry's main file may be: the audio of a job, a whole book, or the list of the files that
#: a book has for its chapters.
EntryFormat = AudioFormat | Literal["m4b", "m3u8"]

#: libsndfile's container and encoding of each format.
_ENCODINGS: Final[dict[AudioFormat, tuple[str, str]]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "opus": ("OGG", "OPUS"),
}

#: libsndfile's scale from 0 (largest) to 1. 0.8 is 56 kbit/s for Opus: encodes 2.5 times
#: faster (measured) than the default of 27 kbit/s, which is another, slower codec inside.
_COMPRESSION_LEVELS: Final[dict[AudioFormat, float]] = {"opus": 0.8}

#: A WAV header counts in 32 bits; readers cut a longer file off without a word.
MAX_WAV_SAMPLES: Final = (2**32 - 1 - 44) // 2

_LARGEST: Final = 32767 / 32768


def choose_rate(output: OutputSpec, native_rate_hz: int) -> int:
    """Return the file's rate: as asked, else native, else the next that the format holds."""
    wanted_hz = output.sample_rate_hz or native_rate_hz
    rates_hz = RATES_OF.get(output.format, (wanted_hz,))
    return min((rate for rate in rates_hz if rate >= wanted_hz), default=max(rates_hz))


def file_name(format: EntryFormat) -> str:
    """Return the name of an entry's main file, or raise `ValueError` for no known format."""
    if format in ("m4b", "m3u8"):
        return f"{BOOK_STEM}.{format}"
    if format not in _ENCODINGS:
        raise ValueError(f"{format!r} is no audio format")
    return f"audio.{format}"


def check_samples(samples: Samples) -> None:
    """Raise `BadAudio` unless `samples` are one row of finite float32 numbers."""
    if samples.ndim != 1 or samples.dtype != np.float32 or not np.isfinite(samples).all():
        raise BadAudio("the samples are not one row of finite float32 numbers")


def pcm16(samples: Samples) -> npt.NDArray[np.int16]:
    """Return `samples` in 16 bits: rounded, and clipped where they are beyond -1 .. 1."""
    return np.rint(np.clip(samples, -1.0, _LARGEST) * 32768).astype(np.int16)


class Resampler:
    """From one rate to another in pieces; the pieces' lengths do not change the result."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1)

    def convert(self, samples: Samples) -> Samples:
        """Return what can be known so far of the output."""
        return self._step(samples, last=False)

    def flush(self) -> Samples:
        """Return the rest. Nothing may follow."""
        return self._step(np.zeros(0, np.float32), last=True)

    def _step(self, samples: Samples, *, last: bool) -> Samples:
        if self._stream is None:
            return samples
        converted: Samples = self._stream.resample_chunk(samples, last=last)
        return converted


class AudioWriter:
    """One mono file, encoded while it is written. Raises `OSError` where the disk fails."""

    def __init__(self, path: Path, format: AudioFormat, rate_hz: int) -> None:
        container, encoding = _ENCODINGS[format]
        self._path = path
        self._limit_samples = MAX_WAV_SAMPLES if format == "wav" else None
        #: Samples written so far.
        self.samples = 0
        self._sink = _Sink(path)
        self._encoder = soundfile.SoundFile(
            self._sink, "w", rate_hz, 1, encoding, format=container,
            compression_level=_COMPRESSION_LEVELS.get(format),
        )  # fmt: skip

    def write(self, samples: Samples) -> None:
        """Append `samples`, float32 and -1 .. 1; what is beyond is clipped."""
        self.samples += len(samples)
        if self._limit_samples is not None and self.samples > self._limit_samples:
            raise StoreFailed(self._path, "a WAV file ends at 4 GiB; ask for flac")
        self._encoder.write(pcm16(samples))
        self._sink.check()

    def close(self) -> None:
        """Write the end of the file; may be called again. The file is whole if this returns."""
        try:
            self._encoder.close()
        finally:
            self._sink.close()
        self._sink.check()


class _Sink:
    """The file as libsndfile sees it: one that never fails.

    By a path, libsndfile would lose the error number of a full disk, and would fsync each
    file by itself when it is closed. So the error is kept here, for `check`.

    libsndfile asks for its place some thirty times a file. The place is kept here too: each
    call of the system would give the interpreter away to another thread.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._place = 0
        self._end = 0
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest and self._error is None:
                written = os.pwrite(self._file.fileno(), rest, self._place)
                self._place += written
                rest = rest[written:]
        except OSError as error:
            self._error = error
        self._end = max(self._end, self._place)
        return len(data)

    def seek(self, offset: int, whence: int) -> int:
        self._place = offset + (0, self._place, self._end)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        """Raise the first error of a write."""
        if self._error is not None:
            raise self._error
