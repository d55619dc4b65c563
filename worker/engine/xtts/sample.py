"""A sample: the part of a recording that a voice is made of, as it was recorded.

Read with libsndfile: WAV, FLAC, Ogg, Opus, MP3, AIFF, at any rate, with any number of channels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from ..request import Samples
from .errors import BadSample

#: Seconds read beyond those that are heard, so that resampling sees what follows the end.
_MARGIN_S: Final = 1

#: Names of what libsndfile reads.
SAMPLE_SUFFIXES: Final = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif")
)


@dataclass(frozen=True)
class Sample:
    """The beginning of one recording."""

    #: The mean of the channels, not resampled. [frames] float32
    audio: Samples
    rate_hz: int
    channels: int
    #: Of the whole recording, which may be longer than what was read.
    duration_s: float

    @cached_property
    def sha256(self) -> str:
        """A hash of what is heard, whatever file it came in."""
        return hashlib.sha256(f"{self.rate_hz} Hz\0".encode() + self.audio.tobytes()).hexdigest()


def read_sample(file: Path, heard_s: int) -> Sample:
    """Read a recording as far as the first `heard_s` seconds need it.

    Raises `BadSample` for what is no audio, is empty, or holds numbers that are not finite.
    """
    try:
        with soundfile.SoundFile(file) as source:
            wanted = source.samplerate * (heard_s + _MARGIN_S)
            frames: Any = source.read(wanted, dtype="float32", always_2d=True)
            rate_hz, channels, length = source.samplerate, source.channels, source.frames
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        # A name that libsndfile does not know ends in a TypeError.
        raise BadSample(f"{file.name}: is no audio file that can be read: {error}") from error
    if not len(frames):
        raise BadSample(f"{file.name}: holds no audio")
    if not np.isfinite(frames).all():
        raise BadSample(f"{file.name}: holds numbers that are not finite")
    audio = np.ascontiguousarray(frames.mean(axis=1), dtype=np.float32)
    return Sample(audio, rate_hz, channels, max(length, len(frames)) / rate_hz)
