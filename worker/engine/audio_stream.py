"""Recordings read from their beginning to their end, whatever they claim of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from .errors import UnfitAudio
from .request import Samples

#: Numbers that are read at once, of all channels together.
_READ_NUMBERS: Final = 1 << 18


class AudioStream(soundfile.SoundFile):  # type: ignore[misc]
    """A file of libsndfile that nobody seeks in.

    The library would seek to its own place after every read, from which a decoder of MP3 does not
    recover: what follows is noise for a moment.
    """

    def seekable(self) -> bool:
        """Nobody seeks here."""
        return False


@contextmanager
def opened(file: Path) -> Iterator[AudioStream]:
    """Open a recording. Raises `UnfitAudio` for what cannot be read, also while it is read."""
    try:
        with AudioStream(file) as audio:
            yield audio
    # A name that libsndfile does not know ends in a TypeError.
    except (soundfile.SoundFileError, TypeError) as error:
        words = str(getattr(error, "error_string", error)).rstrip(".")
        raise UnfitAudio(
            f"the file is no audio that can be read ({words}): give WAV, FLAC, OGG or MP3"
        ) from error
    except OSError as error:
        raise UnfitAudio(f"the audio cannot be read: {error.strerror}") from error


def mono(audio: AudioStream) -> Iterator[Samples]:
    """Yield the mean of the channels, part by part. No claimed length is believed."""
    frames = max(1, _READ_NUMBERS // audio.channels)
    while len(block := audio.read(frames, dtype="float32", always_2d=True)):
        yield block[:, 0] if audio.channels == 1 else block.mean(1, dtype=np.float32)


def samples_of(file: Path) -> tuple[Samples, int]:
    """Return all of a recording as one row, and its rate. Raises `UnfitAudio`."""
    with opened(file) as audio:
        blocks = list(mono(audio))
        return np.concatenate([np.zeros(0, np.float32), *blocks]), int(audio.samplerate)
