"""Recordings on the `uploads` volume: judged in one pass, then read piece by piece.

Whatever its length, a few seconds of it are in memory. Each piece goes into a scratch file below
`temp`, where the engine's process finds it; nothing of it passes through a socket.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from .cutting import Piece, pieces_of, step_samples
from .engine.errors import UnfitAudio
from .engine.request import Recording, Samples
from .errors import UploadMissing

#: Longer ones are refused: about what a WAV file of the result can hold.
LONGEST_H: Final = 12

#: A recording that is louder than this is made quieter, as a whole, before it is cut.
PEAK: Final = 0.95

#: Numbers that are read at once, of all channels together.
_READ_NUMBERS: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one pass over a recording has found."""

    file: Path
    rate_hz: int
    samples: int
    pieces: tuple[Piece, ...]
    #: What samples are multiplied by; 1 unless it is cut and too loud.
    gain: float

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return self.samples / self.rate_hz


def judge(file: Path, sha256: str) -> Judgement:
    """Read all of a recording once.

    Raises `UploadMissing` if it is not on this machine's volume, and `UnfitAudio`, which says what
    is wrong with it.
    """
    _check_hash(file, sha256)
    try:
        with _Stream(file) as audio:
            rate_hz = audio.samplerate
            loudness, samples, peak = _heard(audio)
    except soundfile.SoundFileError as error:
        raise UnfitAudio(
            f"the file is no audio that can be read ({_words(error)}): give WAV, FLAC, OGG or MP3"
        ) from error
    if not samples:
        raise UnfitAudio("the audio has no samples")
    pieces = tuple(pieces_of(samples, rate_hz, loudness))
    # A recording that stays whole is made quieter by the converter itself.
    gain = min(1.0, PEAK / peak) if len(pieces) > 1 and peak else 1.0
    return Judgement(file, rate_hz, samples, pieces, gain)


class Scratch:
    """The pieces of one recording as files in a directory of their own."""

    def __init__(self, judgement: Judgement, directory: Path) -> None:
        self._judgement = judgement
        self._directory = directory

    def recordings(self) -> Iterator[Recording]:
        """Write the pieces one after another, each when it is asked for."""
        found = self._judgement
        self._directory.mkdir(parents=True, exist_ok=True)
        with _Stream(found.file) as audio:
            blocks = _mono(audio)
            kept: Samples = np.zeros(0, np.float32)
            kept_from = 0
            for number, piece in enumerate(found.pieces):
                while kept_from + len(kept) < piece.heard_to:
                    block = next(blocks, None)
                    if block is None:
                        raise UnfitAudio("the audio has become shorter while it was read")
                    kept = np.concatenate([kept, block])
                kept = kept[piece.heard_from - kept_from :]
                kept_from = piece.heard_from
                file = self._directory / f"{number}.f32"
                heard = kept[: piece.heard_to - piece.heard_from] * np.float32(found.gain)
                heard.tofile(file)
                yield Recording(str(file), found.rate_hz, piece.keep)


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from its beginning to its end.

    The library would seek to its own place after every read, from which a decoder of MP3 does not
    recover: what follows is noise for a moment.
    """

    def seekable(self) -> bool:
        """Nobody seeks here."""
        return False


def _heard(audio: soundfile.SoundFile) -> tuple[npt.NDArray[np.float32], int, float]:
    """Return the loudness of each step, the number of samples and the highest magnitude."""
    step = step_samples(audio.samplerate)
    longest = LONGEST_H * 3600 * audio.samplerate
    loudness: list[npt.NDArray[np.float32]] = []
    left: Samples = np.zeros(0, np.float32)
    samples, peak = 0, 0.0
    for block in _mono(audio):
        if not np.isfinite(block).all():
            place_s = (samples + int(np.argmin(np.isfinite(block)))) / audio.samplerate
            raise UnfitAudio(
                f"the audio holds numbers that are not finite, from {place_s:.2f} s on"
            )
        samples += len(block)
        if samples > longest:
            raise UnfitAudio(f"the audio is longer than {LONGEST_H} hours: cut it into files")
        magnitudes = np.abs(block)
        peak = max(peak, float(magnitudes.max(initial=0.0)))
        left = np.concatenate([left, magnitudes])
        whole = len(left) // step * step
        loudness.append(left[:whole].reshape(-1, step).mean(1))
        left = left[whole:]
    return np.concatenate(loudness) if loudness else left, samples, peak


def _mono(audio: soundfile.SoundFile) -> Iterator[Samples]:
    """Yield the mean of the channels. The length that the header claims is not believed."""
    frames = max(1, _READ_NUMBERS // audio.channels)
    while len(block := audio.read(frames, dtype="float32", always_2d=True)):
        yield block[:, 0] if audio.channels == 1 else block.mean(1, dtype=np.float32)


def _check_hash(file: Path, sha256: str) -> None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UploadMissing(file) from error
    if found != sha256:
        raise UnfitAudio(f"the file {sha256[:12]} on the volume is damaged: send it again")


def _words(error: soundfile.SoundFileError) -> str:
    """Return what libsndfile says, without the path."""
    return str(getattr(error, "error_string", error)).rstrip(".")
