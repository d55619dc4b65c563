"""Audio on its way into a file: its rate, its 16-bit samples, its encoder.

All streams: what is held in memory is one write and the last few megabytes, whatever the length
of the file.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from producer.book_entry import BOOK_STEM
from producer.job import RATES_OF, AudioFormat, OutputSpec

from .audio_sink import AudioSink
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

#: The largest and the smallest sample of 16 bits.
_LARGEST: Final = 32767.0
_SMALLEST: Final = -32768.0


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
    # In place, and without numpy's wrapper of clip: this is done for every second of audio.
    scaled = samples * np.float32(32768)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, _LARGEST, out=scaled)
    np.maximum(scaled, _SMALLEST, out=scaled)
    return scaled.astype(np.int16)


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
        self._path = path
        self._limit_samples = MAX_WAV_SAMPLES if format == "wav" else None
        #: Samples written so far.
        self.samples = 0
        self._sink = AudioSink(path)
        self._encoder = (
            _WavEncoder(self._sink, rate_hz)
            if format == "wav"
            else soundfile.SoundFile(
                self._sink, "w", rate_hz, 1, _ENCODINGS[format][1], format=_ENCODINGS[format][0],
                compression_level=_COMPRESSION_LEVELS.get(format),
            )
        )  # fmt: skip

    def write(self, samples: Samples) -> None:
        """Append `samples`, float32 and -1 .. 1; what is beyond is clipped."""
        self.samples += len(samples)
        if self._limit_samples is not None and self.samples > self._limit_samples:
            raise StoreFailed(self._path, "a WAV file ends at 4 GiB; ask for flac")
        self._encoder.write(pcm16(samples))
        self._sink.check()

    def seal(self) -> tuple[str, int]:
        """Write the end of the file; return its sha256, in hex digits, and its length in bytes."""
        try:
            self._encoder.close()
            sha256 = self._sink.seal()
            self._sink.check()
            return sha256, self._sink.size_bytes
        finally:
            self._sink.close()

    def close(self) -> None:
        """Write the end of the file; may be called again. The file is whole if this returns."""
        try:
            self._encoder.close()
        finally:
            self._sink.close()
        self._sink.check()


class _WavEncoder:
    """The standard library's: libsndfile calls back for its place some thirty times a file, and
    each call takes the interpreter from another thread.
    """

    def __init__(self, sink: AudioSink, rate_hz: int) -> None:
        file: Any = sink
        self._file = wave.Wave_write(file)
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(rate_hz)

    def write(self, samples: npt.NDArray[np.int16]) -> None:
        self._file.writeframesraw(samples.data)

    def close(self) -> None:
        self._file.close()
