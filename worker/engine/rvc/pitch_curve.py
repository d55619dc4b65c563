"""What is done to a pitch curve [frames] in Hz before a voice follows it; 0 is unvoiced."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..transfers import uploaded

#: The range that voices were trained with, and the steps into which it is cut: 1 .. 255.
LOWEST_HZ: Final = 50.0
HIGHEST_HZ: Final = 1100.0
_STEPS: Final = 254


def shifted(f0: Tensor, semitones: npt.NDArray[np.float64]) -> Tensor:
    """Return curves higher by `semitones`, each frame by its own."""
    return f0 * uploaded(2 ** (semitones / 12), f0.device)


def coarse(f0: Tensor) -> Tensor:
    """Return the step of each frame on a mel scale, 1 .. 255 int64; unvoiced frames are 1."""
    lowest, highest = _mel(LOWEST_HZ), _mel(HIGHEST_HZ)
    mel = 1127 * (1 + f0 / 700).log()
    steps = (mel - lowest) * _STEPS / (highest - lowest) + 1
    return torch.where(mel > 0, steps, mel).clamp(1, _STEPS + 1).round().long()


def bridged(f0: Tensor) -> Tensor:
    """Return the curve with straight lines over what is unvoiced, flat at both ends.

    A curve without any voiced frame stays as it is.
    """
    places = torch.arange(len(f0), device=f0.device)
    voiced = f0 > 0
    before = torch.where(voiced, places, -1).cummax(0).values
    after = torch.where(voiced, places, len(f0)).flip(0).cummin(0).values.flip(0)
    left = torch.where(before < 0, after, before).clamp_max(len(f0) - 1)
    right = torch.where(after == len(f0), before, after).clamp_min(0)
    share = (places - left) / (right - left).clamp_min(1)
    return f0[left] + share * (f0[right] - f0[left])


def middle_hz(f0: Tensor) -> float | None:
    """Return the median of the voiced frames, None if there is none."""
    voiced = f0[f0 > 0]
    return float(voiced.median()) if len(voiced) else None


def semitones_between(source_hz: float, target_hz: float) -> int:
    """Return the whole semitones that bring one pitch next to another."""
    return round(12 * math.log2(target_hz / source_hz))


def _mel(frequency_hz: float) -> float:
    return 1127 * math.log(1 + frequency_hz / 700)
