"""Whether a sample is fit to make a voice of: length, loudness, clipping. Pure, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..request import Samples
from .sample import Sample

#: Seconds of sound. The makers of XTTS-v2 ask for six; coqui-tts itself for more than three.
LEAST_SOUND_S: Final = 3.0
GOOD_SOUND_S: Final = 6.0

#: Of one file among several: its colour is taken from it alone.
LEAST_FILE_S: Final = 1.0

#: A frame of this length counts as sound from this level on. Rooms are quieter, speech is louder.
_FRAME_S: Final = 0.02
_SOUND_DBFS: Final = -50.0

#: A sample at or above this magnitude has met the end of the scale.
_FULL_SCALE: Final = 0.999

#: Shares of such samples: speech that was recorded well has none.
_CLIPPED_SHARE: Final = 0.0001
_RUINED_SHARE: Final = 0.01

#: Below this rate the upper half of what the model hears is missing.
_LOW_RATE_HZ: Final = 16000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of one sample."""

    duration_s: float
    #: Seconds of it that are no silence, and how many of them are heard at all.
    sound_s: float
    #: The loudest sample, 0 being full scale; minus infinity for digital silence.
    peak_dbfs: float
    #: 0 .. 1
    clipped_share: float
    #: Why no voice should be made of it, and what is worth knowing if one is made.
    faults: tuple[str, ...]
    remarks: tuple[str, ...]


def judge(sample: Sample, heard_s: int, *, alone: bool = True) -> Verdict:
    """Judge one sample; `alone` false if a voice is made of it and of others."""
    audio = sample.audio[: sample.rate_hz * heard_s]
    sound_s = _sound_s(audio, sample.rate_hz)
    magnitude = np.abs(audio)
    peak_dbfs = _dbfs(float(magnitude.max()))
    clipped_share = float((magnitude >= _FULL_SCALE).mean())
    faults, remarks = [], []
    least_s = LEAST_SOUND_S if alone else LEAST_FILE_S
    if peak_dbfs < _SOUND_DBFS:
        faults.append(f"silent: its peak is {peak_dbfs:.0f} dBFS")
    elif sound_s < least_s:
        faults.append(f"too short: {sound_s:.1f} s of sound, at least {least_s:g} s are needed")
    elif alone and sound_s < GOOD_SOUND_S:
        remarks.append(f"short: {sound_s:.1f} s of sound, {GOOD_SOUND_S:g} s are better")
    if clipped_share > _RUINED_SHARE:
        faults.append(f"clipped: {clipped_share:.1%} of it is at full scale")
    elif clipped_share > _CLIPPED_SHARE:
        remarks.append(f"a little clipped: {clipped_share:.2%} of it is at full scale")
    if sample.duration_s > heard_s:
        remarks.append(f"long: of {sample.duration_s:.1f} s the first {heard_s} s are heard")
    if sample.rate_hz < _LOW_RATE_HZ:
        remarks.append(f"dull: {sample.rate_hz} Hz, {_LOW_RATE_HZ} Hz or more are better")
    return Verdict(
        sample.duration_s, sound_s, peak_dbfs, clipped_share, tuple(faults), tuple(remarks)
    )


def faults_together(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Return what is wrong with several samples of one voice that are each good enough."""
    sound_s = sum(verdict.sound_s for verdict in verdicts)
    if sound_s >= LEAST_SOUND_S:
        return ()
    return (f"too short: {sound_s:.1f} s of sound, at least {LEAST_SOUND_S:g} s are needed",)


def _sound_s(audio: Samples, rate_hz: int) -> float:
    width = max(1, round(rate_hz * _FRAME_S))
    whole = audio[: len(audio) // width * width].reshape(-1, width)
    levels = np.sqrt((whole.astype(np.float64) ** 2).mean(axis=1))
    return float((levels >= 10 ** (_SOUND_DBFS / 20)).sum()) * width / rate_hz


def _dbfs(magnitude: float) -> float:
    return 20 * math.log10(magnitude) if magnitude > 0 else -math.inf
