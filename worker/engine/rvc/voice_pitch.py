"""The middle of a voice's own pitch, found in a recording of it: what `pitch="auto"` aims at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from .audio_file import AudioFile
from .converter import INPUT_PEAK, NOT_FINITE, check_rate, check_samples
from .errors import UnfitAudio
from .highpass import high_passed
from .mel import HOP
from .pitch import Pitch
from .pitch_curve import middle_hz
from .resampling import resampled
from .splitting import RATE_HZ

#: How much of a recording is listened to: a speaker's middle does not move after that.
LISTENED_S: Final = 120

#: How much of it must be voiced, at least.
LEAST_VOICED_S: Final = 1.0


def middle_of(file: Path, pitch: Pitch) -> float:
    """Return the median of what is voiced in the first two minutes of a recording. [Hz]

    It is found as that of a speaker is who is converted. Raises `UnfitAudio` that names the file.
    """
    try:
        wave = _heard(AudioFile(file))
    except UnfitAudio as error:
        raise UnfitAudio(f"{file}: {error}") from error
    is_enough = len(wave) >= LEAST_VOICED_S * RATE_HZ
    curve = pitch.f0([wave])[0] if is_enough else torch.zeros(0)
    voiced_s = int((curve > 0).sum()) * HOP / RATE_HZ
    found_hz = middle_hz(curve)
    if found_hz is None or voiced_s < LEAST_VOICED_S:
        raise UnfitAudio(
            f"{file}: {voiced_s:.1f} s of its first {LISTENED_S} s are voiced, and "
            f"{LEAST_VOICED_S:.1f} s are needed: give a recording in which the voice speaks"
        )
    return found_hz


def _heard(recording: AudioFile) -> Tensor:
    """Return its beginning as converters hear it: [samples] float32 at 16 kHz."""
    check_rate(recording.rate_hz)
    beginning = torch.cat(list(_beginning(recording)) or [torch.zeros(0)])
    if not beginning.isfinite().all():
        raise UnfitAudio(NOT_FINITE)
    wave = resampled(beginning, recording.rate_hz, RATE_HZ)
    check_samples(len(wave))
    [found] = high_passed([wave], INPUT_PEAK)
    return found.float()


def _beginning(recording: AudioFile) -> Iterator[Tensor]:
    left = LISTENED_S * recording.rate_hz
    for block in recording.blocks():
        yield block[:left].mean(1)
        left -= len(block)
        if left <= 0:
            return
