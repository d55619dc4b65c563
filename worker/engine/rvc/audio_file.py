"""Recordings in files, read part by part: no claim of a file about itself costs any memory.

Read with libsndfile: WAV, FLAC, Ogg, Opus, MP3, AIFF, at any rate, with any number of channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import soundfile
import torch
from torch import Tensor

from ..audio_stream import AudioStream
from .errors import UnfitAudio

#: Numbers that are read at a time.
_BLOCK: Final = 1 << 20


class AudioFile:
    """One recording. May be read any number of times."""

    def __init__(self, file: Path) -> None:
        """Look at what the file says of itself. Raises `UnfitAudio`."""
        self._file = file
        with self._opened() as opened:
            self.rate_hz: int = opened.samplerate
            self.channels: int = opened.channels
            #: As the file claims; what is there may be less.
            self.claimed_s: float = opened.frames / max(1, opened.samplerate)

    def blocks(self) -> Iterator[Tensor]:
        """Yield parts of it, [frames, channels] float32. Raises `UnfitAudio`."""
        count = max(1, _BLOCK // self.channels)
        with self._opened() as opened:
            while True:
                found = opened.read(count, dtype="float32", always_2d=True)
                if not len(found):
                    return
                yield torch.from_numpy(found)

    def samples(self) -> Tensor:
        """Return all of it, [frames, channels] float32. Raises `UnfitAudio`."""
        return torch.cat([torch.zeros(0, self.channels), *self.blocks()])

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with AudioStream(self._file) as opened:
                yield opened
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            # A name that libsndfile does not know ends in a TypeError.
            name = self._file.name
            raise UnfitAudio(f"{name}: is no audio file that can be read: {error}") from error
