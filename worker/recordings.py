"""Recordings on the `uploads` volume, judged part by part before anything is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from .engine.affinity import unpinned
from .engine.audio_stream import AudioStream, mono, opened
from .engine.errors import UnfitAudio
from .engine.progress import Progress, Stage
from .errors import UploadMissing

#: Longer ones are refused: about what a WAV file of the result can hold.
LONGEST_H: Final = 12


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is there, which may be less than the file claims."""

    file: Path
    rate_hz: int
    samples: int


@unpinned()
def judge(file: Path, sha256: str, tell: Callable[[Progress], None]) -> Judgement:
    """Read all of a recording once, and `tell` how far that is.

    Raises `UploadMissing` if it is not on this machine's volume, and `UnfitAudio`, which says what
    is wrong with it.
    """
    _check_hash(file, sha256)
    with opened(file) as audio:
        samples = _counted(audio, tell)
        if not samples:
            raise UnfitAudio("the audio has no samples")
        return Judgement(file, audio.samplerate, samples)


def _counted(audio: AudioStream, tell: Callable[[Progress], None]) -> int:
    longest = LONGEST_H * 3600 * audio.samplerate
    samples = 0
    for block in mono(audio):
        if not np.isfinite(block).all():
            place_s = (samples + int(np.argmin(np.isfinite(block)))) / audio.samplerate
            raise UnfitAudio(
                f"the audio holds numbers that are not finite, from {place_s:.2f} s on"
            )
        samples += len(block)
        if samples > longest:
            raise UnfitAudio(f"the audio is longer than {LONGEST_H} hours: cut it into files")
        # What it claims of itself is believed for this alone.
        tell(Progress(Stage.CHECKING, min(1.0, samples / max(1, audio.frames))))
    return samples


def _check_hash(file: Path, sha256: str) -> None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UploadMissing(file) from error
    if found != sha256:
        raise UnfitAudio(f"the file {sha256[:12]} on the volume is damaged: send it again")
