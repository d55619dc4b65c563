"""Recordings of any rate made into one of 16 kHz, and conversions into the rate that is wanted."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

#: Zeros of the sinc on each side, the share of the band that passes, and the window's shape:
#: 80 dB down where the band ends.
_ZEROS: Final = 24
_BAND: Final = 0.94
_KAISER_BETA: Final = 8.0

#: Rates that have little in common would need more filters than is worth it.
_MOST_PHASES: Final = 640


def resampled(wave: Tensor, rate_hz: int, wanted_hz: int) -> Tensor:
    """Return a wave [samples] at another rate, float32, as long in time as before."""
    wave = wave.float()
    if rate_hz == wanted_hz:
        return wave
    common = math.gcd(rate_hz, wanted_hz)
    down, up = rate_hz // common, wanted_hz // common
    if up > _MOST_PHASES:
        return finely_resampled(wave, rate_hz, wanted_hz)
    kernels, reach = _kernels(down, up)
    padded = pad(wave[None, None], (reach, reach + down))
    phases = conv1d(padded, kernels.to(wave.device), stride=down)  # [1, up, steps]
    return phases[0].T.flatten()[: -(-len(wave) * up // down)]


def finely_resampled(wave: Tensor, rate_hz: int, wanted_hz: int) -> Tensor:
    """Return the same by soxr, on the processor: what librosa does in the peers."""
    import soxr

    found = torch.from_numpy(soxr.resample(wave.cpu().numpy(), rate_hz, wanted_hz, quality="HQ"))
    wanted = -(-len(wave) * wanted_hz // rate_hz)
    return pad(found[:wanted], (0, max(0, wanted - len(found)))).to(wave.device)


@lru_cache(maxsize=16)
def _kernels(down: int, up: int) -> tuple[Tensor, int]:
    """Return one filter for each of `up` places between samples, and how far they reach."""
    band = min(1.0, up / down) * _BAND
    reach = math.ceil(_ZEROS / band)
    taps = torch.arange(-reach, reach + down, dtype=torch.float64)
    places = taps - torch.arange(up, dtype=torch.float64)[:, None] * down / up
    window = torch.special.i0(_KAISER_BETA * (1 - (places / reach).square()).clamp_min(0).sqrt())
    window = window / torch.special.i0(torch.tensor(_KAISER_BETA, dtype=torch.float64))
    kernels = band * torch.sinc(places * band) * torch.where(places.abs() <= reach, window, 0.0)
    return kernels[:, None].float(), reach
