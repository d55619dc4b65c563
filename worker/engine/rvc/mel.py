"""The log-mel spectrogram that RMVPE reads, and how much of what is in it.

128 bands from 30 to 8000 Hz, of equal width on HTK's mel scale and of equal area, every 10 ms
at 16 kHz.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..transfers import uploaded
from .packed_line import Line

RATE_HZ: Final = 16000
BANDS: Final = 128

#: Samples between two frames, and that one frame sees.
HOP: Final = 160
WINDOW: Final = 1024

_LOWEST_HZ: Final = 30.0
_HIGHEST_HZ: Final = 8000.0

#: What counts as silence, before the logarithm.
_FLOOR: Final = 1e-5


def frames_of(samples: int) -> int:
    """Return the frames of a recording."""
    return samples // HOP + 1


class MelSpectrogram:
    """The spectrogram on one device, in float32."""

    def __init__(self, device: torch.device) -> None:
        self._bands = mel_bands().to(device)
        self._window = torch.hann_window(WINDOW, device=device)

    def __call__(self, waves: Sequence[Tensor], line: Line) -> Tensor:
        """Return [BANDS, width] of waves at 16 kHz, each with its edges mirrored, in their places.

        Elsewhere there are zeros. A wave needs more than 512 samples.
        """
        device = self._window.device
        samples = torch.zeros((line.width - 1) * HOP + WINDOW, device=device)
        for wave, span in zip(waves, line.spans, strict=True):
            mirrored = pad(wave.float()[None], (WINDOW // 2, WINDOW // 2), mode="reflect")[0]
            start = span.start * HOP
            # Behind the last whole frame there is no room in a full line, and no need.
            room = samples[start : start + len(mirrored)]
            room.copy_(mirrored[: len(room)])
        spectrum = torch.stft(
            samples, WINDOW, hop_length=HOP, window=self._window, center=False, return_complex=True
        )
        mels = (self._bands @ spectrum.abs()).clamp_min(_FLOOR).log()
        return mels * uploaded(line.heard(), device)


def mel_bands() -> Tensor:
    """Return how strongly each band hears each frequency: [BANDS, WINDOW / 2 + 1] float32."""
    frequencies = torch.linspace(0, RATE_HZ / 2, WINDOW // 2 + 1, dtype=torch.float64)
    lowest, highest = _mel(_LOWEST_HZ), _mel(_HIGHEST_HZ)
    corners = torch.linspace(lowest, highest, BANDS + 2, dtype=torch.float64)
    corners = 700 * (10 ** (corners / 2595) - 1)
    widths = corners.diff()
    rising = (frequencies - corners[:-2, None]) / widths[:-1, None]
    falling = (corners[2:, None] - frequencies) / widths[1:, None]
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return (triangles * (2 / (corners[2:] - corners[:-2]))[:, None]).float()


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)
