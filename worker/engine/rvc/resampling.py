"""Recordings of any rate made into one of 16 kHz, and conversions into the rate that is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from ..transfers import sent_apart

#: Zeros of the sinc on each side, the share of the band that passes, and the window's shape:
#: 80 dB down where the band ends.
_ZEROS: Final = 24
_BAND: Final = 0.94
_KAISER_BETA: Final = 8.0

#: Rates that have little in common would need more filters than is worth it.
_MOST_PHASES: Final = 640

#: Places whose neighbours a GPU lays side by side at a time: 85 MB from 24 kHz.
_AT_ONCE: Final = 1 << 18


def resampled(wave: Tensor, rate_hz: int, wanted_hz: int) -> Tensor:
    """Return a wave [samples] at another rate, float32, as long in time as before."""
    wave = wave.float()
    if rate_hz == wanted_hz:
        return wave
    if _ratio(rate_hz, wanted_hz)[1] > _MOST_PHASES:
        return finely_resampled(wave, rate_hz, wanted_hz)
    stream = _Phases(rate_hz, wanted_hz)
    found = torch.cat([stream.add(wave), stream.add(wave[:0], last=True)])
    return found[: _length(len(wave), rate_hz, wanted_hz)]


def resampled_together(
    waves: Sequence[Tensor], rate_hz: int, wanted_hz: int, device: torch.device
) -> list[Tensor]:
    """Return the same of many waves, on a device, in few kernels, however many there are.

    They are made one line, so far apart that none hears another.
    """
    down, up = _ratio(rate_hz, wanted_hz)
    if up > _MOST_PHASES:
        waves, down, up = [resampled(wave, rate_hz, wanted_hz) for wave in waves], 1, 1
    reach = 0 if down == up else _kernels(down, up, torch.device("cpu"))[1]
    # A filter begins where a wave's own would, and each of them at a multiple of its steps.
    firsts, end = [], 0
    for wave in waves:
        firsts.append(-(-end // down) * down)
        end = firsts[-1] + len(wave) + reach + down
    line = sent_apart(waves, [first + reach for first in firsts], device)
    if down != up:
        line = _filtered(pad(line, (0, reach + down)), _kernels(down, up, device)[0], down)
    counts = [-(-len(wave) * up // down) for wave in waves]
    starts = [first // down * up for first in firsts]
    return [line[start : start + count] for start, count in zip(starts, counts, strict=True)]


def resampled_blocks(
    waves: Iterable[Tensor], rate_hz: int, wanted_hz: int, *, fine: bool = False
) -> Iterator[Tensor]:
    """Yield the same of waves [samples] end to end, a part at a time.

    `fine` is as `finely_resampled` does it.
    """
    if rate_hz == wanted_hz:
        yield from (wave.float() for wave in waves)
        return
    fine = fine or _ratio(rate_hz, wanted_hz)[1] > _MOST_PHASES
    stream = _Soxr(rate_hz, wanted_hz) if fine else _Phases(rate_hz, wanted_hz)
    taken = given = 0
    wave = torch.zeros(0)
    for wave in waves:
        taken += len(wave)
        found = stream.add(wave.float())
        given += len(found)
        yield found
    wanted = _length(taken, rate_hz, wanted_hz) - given
    rest = stream.add(wave[:0].float(), last=True)[:wanted]
    yield pad(rest, (0, max(0, wanted - len(rest))))


def finely_resampled(wave: Tensor, rate_hz: int, wanted_hz: int) -> Tensor:
    """Return the same by soxr, on the processor: what librosa does in the peers."""
    import soxr

    found = torch.from_numpy(soxr.resample(wave.cpu().numpy(), rate_hz, wanted_hz, quality="HQ"))
    wanted = _length(len(wave), rate_hz, wanted_hz)
    return pad(found[:wanted], (0, max(0, wanted - len(found)))).to(wave.device)


class _Phases:
    """A filter for each place of the output between samples of the input, fed a part at a time."""

    def __init__(self, rate_hz: int, wanted_hz: int) -> None:
        self._down, self._up = _ratio(rate_hz, wanted_hz)
        kernels, self._reach = _kernels(self._down, self._up, torch.device("cpu"))
        self._taps = kernels.shape[1]
        self._waiting: Tensor | None = None

    def add(self, wave: Tensor, *, last: bool = False) -> Tensor:
        """Return what is certain by now; with `last` all that there is, and a bit more."""
        before = wave.new_zeros(self._reach) if self._waiting is None else self._waiting
        behind = wave.new_zeros(self._reach + self._down if last else 0)
        samples = torch.cat([before, wave, behind])
        steps = (len(samples) - self._taps) // self._down + 1
        if steps < 1:
            self._waiting = samples
            return wave[:0]
        self._waiting = samples[steps * self._down :].clone()
        return _filtered(samples, _kernels(self._down, self._up, wave.device)[0], self._down)


class _Soxr:
    """soxr, fed a part at a time."""

    def __init__(self, rate_hz: int, wanted_hz: int) -> None:
        import soxr

        self._stream = soxr.ResampleStream(rate_hz, wanted_hz, 1, "float32", "HQ")

    def add(self, wave: Tensor, *, last: bool = False) -> Tensor:
        """Return what is certain by now; with `last` all that there is."""
        found = self._stream.resample_chunk(wave.cpu().numpy(), last=last)
        return torch.from_numpy(found).to(wave.device)


def _filtered(samples: Tensor, kernels: Tensor, down: int) -> Tensor:
    """Return what each filter makes of every `down`-th place, in the order of time."""
    if samples.is_cuda:
        # A convolution would be prepared anew for every length.
        seen = samples.unfold(0, kernels.shape[1], down).split(_AT_ONCE)
        return torch.cat([some @ kernels.T for some in seen]).flatten()
    return conv1d(samples[None, None], kernels[:, None], stride=down)[0].T.flatten()


def _ratio(rate_hz: int, wanted_hz: int) -> tuple[int, int]:
    """Return the samples of the input in whose time there are so many of the output."""
    common = math.gcd(rate_hz, wanted_hz)
    return rate_hz // common, wanted_hz // common


def _length(samples: int, rate_hz: int, wanted_hz: int) -> int:
    return -(-samples * wanted_hz // rate_hz)


@lru_cache(maxsize=16)
def _kernels(down: int, up: int, device: torch.device) -> tuple[Tensor, int]:
    """Return one filter [up, taps] for each place between samples, and how far they reach."""
    band = min(1.0, up / down) * _BAND
    reach = math.ceil(_ZEROS / band)
    taps = torch.arange(-reach, reach + down, dtype=torch.float64)
    places = taps - torch.arange(up, dtype=torch.float64)[:, None] * down / up
    window = torch.special.i0(_KAISER_BETA * (1 - (places / reach).square()).clamp_min(0).sqrt())
    window = window / torch.special.i0(torch.tensor(_KAISER_BETA, dtype=torch.float64))
    kernels = band * torch.sinc(places * band) * torch.where(places.abs() <= reach, window, 0.0)
    return kernels.float().to(device), reach
