"""Where a recording is mirrored at its ends, and where it is cut when it is too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

RATE_HZ: Final = 16000

#: Samples of one frame of pitch: cuts fall between them.
FRAME: Final = 160


@dataclass(frozen=True, slots=True)
class Splitting:
    """How long recordings are cut, in seconds; the defaults are those of the peers."""

    #: What a piece is given at each end beyond what is kept of it.
    pad_s: int = 1
    #: A cut falls within this of its place, where it is quietest.
    query_s: int = 6
    #: Cuts are about this far apart.
    center_s: int = 38
    #: What is longer is cut.
    longest_s: int = 41

    @property
    def pad(self) -> int:
        """`pad_s` in samples."""
        return self.pad_s * RATE_HZ


def mirrored(wave: Tensor, samples: int) -> Tensor:
    """Return the wave continued at both ends by its mirror image, over and over if it is short."""
    period = max(1, 2 * (len(wave) - 1))
    places = torch.arange(-samples, len(wave) + samples, device=wave.device) % period
    return wave[torch.minimum(places, period - places)]


def cuts(wave: Tensor, splitting: Splitting) -> list[int]:
    """Return the samples at which a wave at 16 kHz is cut, in order; none if it is short.

    As upstream does, a cut falls where the sum of magnitudes over 10 ms is least.
    """
    if len(wave) + FRAME <= splitting.longest_s * RATE_HZ:
        return []
    around = mirrored(wave, FRAME // 2).abs()
    query, center = splitting.query_s * RATE_HZ, splitting.center_s * RATE_HZ
    places = []
    for place in range(center, len(wave), center):
        near = around[place - query : place + query + FRAME - 1]
        sums = near.unfold(0, FRAME, 1).sum(1)[: len(wave) - place + query]
        places.append((place - query + int(sums.argmin())) // FRAME * FRAME)
    return places
