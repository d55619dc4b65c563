"""The source: a sine of the wanted pitch, or noise where there is none; the decoder filters it.

The phase is the sum of the pitch over time. It is summed in double precision over frames and is
linear within each, so that it is as exact at the end of an hour as at the beginning.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from .weights import Affine

#: Amplitudes: of the sine, of the noise beside it, and of the noise where there is no pitch.
SINE: Final = 0.1
BESIDE: Final = 0.003
UNVOICED: Final = SINE / 3


def phases(f0_hz: Tensor, samples_per_frame: int, sample_rate_hz: int) -> tuple[Tensor, Tensor]:
    """Return each frame's phase before its first sample, and its step: turns, [rows, frames].

    `f0_hz` [rows, frames] float32, 0 where there is no pitch.
    """
    step = (f0_hz / sample_rate_hz) % 1
    ends = (step.double() * samples_per_frame).cumsum(-1)
    begins = (ends - step.double() * samples_per_frame) % 1
    return begins.float(), step


def excitation(
    weights: Affine, begins: Tensor, steps: Tensor, voiced: Tensor, noise: Tensor
) -> Tensor:
    """Return samples of the source, [rows, frames * samples_per_frame] float32.

    `begins`, `steps` and `voiced` [rows, frames] are those of the wanted frames alone; `noise`
    [rows, frames * samples_per_frame] is normal.
    """
    rows, frames = steps.shape
    noise = noise.view(rows, frames, -1)
    count = torch.arange(1, noise.shape[-1] + 1, device=steps.device, dtype=steps.dtype)
    turns = torch.addcmul(begins[:, :, None], steps[:, :, None], count)
    sine = (turns * (2 * math.pi)).sin_().mul_(SINE)
    is_voiced = voiced[:, :, None].to(steps.dtype)
    amplitude = is_voiced * (BESIDE - UNVOICED) + UNVOICED
    wave = torch.addcmul(sine.mul_(is_voiced), noise, amplitude)
    wave = torch.addcmul(weights.bias.float(), wave, weights.weight.float()).tanh_()
    return wave.view(rows, -1)
