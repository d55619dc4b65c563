"""The high-pass that every recording goes through: 48 Hz, and no delay.

A Butterworth filter of fifth order, run forwards and backwards, as `scipy.signal.filtfilt` does it
in the peers. It is applied as a product in the frequency domain, on the device and for many
recordings at once; what the filter still rings after `_RING` samples is below rounding.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from ..transfers import uploaded
from .filled_sizes import few_shapes_on, power_of_two
from .splitting import Wave

_RATE_HZ: Final = 16000
_CUTOFF_HZ: Final = 48
_ORDER: Final = 5

#: Samples by which a recording is continued at both ends, turned about its last value.
EDGE: Final = 18

#: Samples until the filter's slowest part has fallen by 200 dB.
_RING: Final = 8192

#: Waves that are transformed at once: a power of two. What a library prepares for each number of
#: them, and for each length, took a GPU's host 20 to 60 ms (measured on one NVIDIA H200).
_ROWS: Final = 8


def high_passed(waves: Sequence[Tensor], most: float = math.inf) -> list[Tensor]:
    """Return each wave at 16 kHz without what lies below 48 Hz, [samples] float64.

    A wave needs more than `EDGE` samples. Waves of any lengths go together. One with a sample
    above `most` is made quieter before.
    """
    found: dict[int, Tensor] = {}
    order = sorted(range(len(waves)), key=lambda place: -len(waves[place]))
    for first in range(0, len(order), _ROWS):
        places = order[first : first + _ROWS]
        found.update(zip(places, _together([waves[place] for place in places], most), strict=True))
    return [found[place] for place in range(len(waves))]


def _together(waves: Sequence[Tensor], most: float) -> list[Tensor]:
    counts = [len(wave) for wave in waves]
    if few_shapes_on(waves[0].device):
        # A transform is prepared anew for every number of rows: silence makes it one of few.
        counts += [max(counts)] * (power_of_two(len(waves)) - len(waves))
    batch = _continued(waves, counts, most)
    response = _response(_fast_length(batch.shape[1] + _RING), batch.device)
    starts = uploaded([max(counts) - count for count in counts], batch.device)
    once = _filtered(batch, starts, response)
    twice = _filtered(once.flip(1), torch.zeros_like(starts), response).flip(1)
    rows = zip(twice, counts[: len(waves)], strict=False)
    return [row[-EDGE - count : -EDGE] for row, count in rows]


def high_passed_block(wave: Wave, start: int, stop: int) -> Tensor:
    """Return the same of samples `start .. stop` of a wave alone: [stop - start] float64.

    What is further away than the filter rings has no part in it.
    """
    first, last = max(0, start - 2 * _RING), min(len(wave), stop + 2 * _RING)
    [found] = high_passed([wave[first:last]])
    return found[start - first : stop - first]


def _filtered(batch: Tensor, starts: Tensor, response: Tensor) -> Tensor:
    """Filter each row from its start on, as if its first value had been there for ever."""
    places = torch.arange(batch.shape[1], device=batch.device)
    first = batch.gather(1, starts[:, None])
    # A constant does not pass the filter, so taking it away is the same as having had it before.
    settled = torch.where(places >= starts[:, None], batch - first, 0.0)
    length = 2 * (len(response) - 1)
    spectrum = torch.fft.rfft(settled, length) * response
    filtered: Tensor = torch.fft.irfft(spectrum, length)
    return filtered[:, : batch.shape[1]]


def _continued(waves: Sequence[Tensor], counts: Sequence[int], most: float) -> Tensor:
    """Return waves one above the other, turned about both ends; the rows below them are silence.

    What is in front of a shorter wave is silence that the filter leaves silent.
    """
    longest, device = max(counts), waves[0].device
    batch = torch.zeros(len(counts), longest + 2 * EDGE, device=device, dtype=torch.float64)
    for row, wave in zip(batch, waves, strict=False):
        row[-EDGE - len(wave) : -EDGE] = wave
    batch /= (batch.abs().amax(1, keepdim=True) / most).clamp_min(1)
    steps = torch.arange(1, EDGE + 1, device=device)
    # Where each wave has its first value, and all of them their last.
    first = uploaded([EDGE + longest - count for count in counts], device)[:, None]
    last = batch.shape[1] - EDGE - 1
    before = 2 * batch.gather(1, first) - batch.gather(1, first + steps)
    batch.scatter_(1, first - steps, before)
    batch[:, last + 1 :] = 2 * batch[:, last, None] - batch[:, last - EDGE : last].flip(1)
    return batch


@lru_cache(maxsize=8)
def _response(length: int, device: torch.device) -> Tensor:
    """Return what the filter makes of each frequency of a transform of `length`."""
    angles = torch.arange(length // 2 + 1, device=device, dtype=torch.float64) / length
    z = torch.exp(2j * math.pi * angles)
    cutoff = math.tan(math.pi * _CUTOFF_HZ / _RATE_HZ)
    response = torch.ones_like(z)
    for number in range(_ORDER):
        analog = cutoff * cmath.exp(1j * math.pi * (2 * number + 1 + _ORDER) / (2 * _ORDER))
        pole = (1 + analog) / (1 - analog)
        response = response * (z - 1) / (z - pole) / (1 - analog)
    return response


def _fast_length(least: int) -> int:
    """Return the next length that transforms are fast for."""
    power = 1 << (least - 1).bit_length()
    return next(size for size in (power * 5 // 8, power * 3 // 4, power) if size >= least)
