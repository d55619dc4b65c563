"""Pitch by Praat and by WORLD, on the processor, one recording at a time, as the peers call them.

Both are optional: `pip install voicefarm[pitch]`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import ChunkFailed
from .pitch_curve import HIGHEST_HZ, LOWEST_HZ
from .splitting import RATE_HZ

_STEP_S: Final = 0.01

#: Praat's threshold for a voiced frame.
_VOICING: Final = 0.6

#: From this filter radius on, WORLD's curve is smoothed.
_SMOOTHED_FROM: Final = 3

Curve = npt.NDArray[np.float64]


def praat_f0(wave: Curve, frames: int) -> Curve:
    """Return Praat's autocorrelation pitch, `pm`, [frames] in Hz, 0 unvoiced."""
    praat = _library("pm", "parselmouth", "praat-parselmouth")
    pitch = praat.Sound(wave, RATE_HZ).to_pitch_ac(
        time_step=_STEP_S,
        voicing_threshold=_VOICING,
        pitch_floor=LOWEST_HZ,
        pitch_ceiling=HIGHEST_HZ,
    )
    found: Curve = pitch.selected_array["frequency"]
    # It leaves out what it cannot see whole at both ends.
    before = max(0, (frames - len(found) + 1) // 2)
    return np.pad(found, (before, max(0, frames - len(found) - before)))[:frames]


def world_f0(wave: Curve, frames: int, filter_radius: int) -> Curve:
    """Return WORLD's pitch, `harvest`, refined, [frames] in Hz, 0 unvoiced."""
    world = _library("harvest", "pyworld", "pyworld")
    wave = np.ascontiguousarray(wave, np.float64)
    found, times = world.harvest(
        wave, fs=RATE_HZ, f0_ceil=HIGHEST_HZ, f0_floor=LOWEST_HZ, frame_period=1000 * _STEP_S
    )
    found = world.stonemask(wave, found, times, RATE_HZ)
    if filter_radius >= _SMOOTHED_FROM:
        around = np.pad(found, 1)
        found = np.median(np.stack([around[:-2], around[1:-1], around[2:]]), axis=0)
    curve: Curve = found[:frames]
    return curve


def _library(method: str, name: str, package: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ChunkFailed(
            f"f0_method {method} needs {package}, which this worker does not have: use rmvpe, or "
            "install voicefarm[pitch] there"
        ) from error
