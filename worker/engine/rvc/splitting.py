"""Where a recording is mirrored at its ends, and where it is cut when it is too long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

RATE_HZ: Final = 16000

#: Samples of one frame of pitch: cuts fall between them.
FRAME: Final = 160

#: Sums of magnitudes that are no more than what filters leave of digital silence: -160 dB.
_SILENT: Final = 1e-6


class Wave(Protocol):
    """Samples at 16 kHz: a tensor, or a file of them."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, span: slice) -> Tensor:
        """Return a span of them."""


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


def cuts(wave: Wave, splitting: Splitting) -> Iterator[int]:
    """Yield the samples at which a wave at 16 kHz is cut, in order; none if it is short.

    As upstream does, a cut falls where the sum of magnitudes over 10 ms is least; the first such
    place counts, and all that is as good as silent is equally so.
    """
    if len(wave) + FRAME <= splitting.longest_s * RATE_HZ:
        return
    query, center = splitting.query_s * RATE_HZ, splitting.center_s * RATE_HZ
    for place in range(center, len(wave), center):
        near = _around(wave, place - query, place + query - 1).abs()
        sums = near.unfold(0, FRAME, 1).sum(1)[: len(wave) - place + query]
        quietest = torch.where(sums > _SILENT, sums, 0).argmin()
        yield (place - query + int(quietest)) // FRAME * FRAME


def _around(wave: Wave, first: int, last: int) -> Tensor:
    """Return samples `first .. last` and half a frame to each side, mirrored at the end."""
    start, stop = first - FRAME // 2, last + FRAME // 2
    behind = min(FRAME // 2, stop - len(wave))
    if behind <= 0:
        return wave[start:stop]
    return torch.cat([wave[start : len(wave)], wave[len(wave) - 1 - behind : -1].flip(0)])
