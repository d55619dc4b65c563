"""The loudness of the source, given back to what a voice made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

#: The least loudness of an output that is divided by.
_QUIETEST: Final = 1e-6

#: A conversion's peak stays at or below this.
PEAK: Final = 0.99


def mixed(
    source: Tensor, source_rate_hz: int, output: Tensor, rate_hz: int, mix_rate: float
) -> Tensor:
    """Return the output [samples] with its loudness moved towards the source's.

    With `mix_rate` 1 it keeps its own, with 0 it gets the source's. The names and the curve are
    those of the peers: loudness over seconds, every half second, straight lines between.
    """
    if mix_rate == 1 or not len(output):
        return output
    wanted = loudness_of([source], source_rate_hz, source.device)
    own = loudness_of([output], rate_hz, output.device)
    return output * gain(wanted, own, mix_rate, 0, len(output), len(output)).to(output.dtype)


def loudness_of(waves: Iterable[Tensor], rate_hz: int, device: torch.device) -> Tensor:
    """Return the root mean square of every second, each half second, of waves end to end.

    [seconds * 2 + 1], in the dtype of the waves, a bit more than the waves last.
    """
    half = rate_hz // 2
    sums: list[Tensor] = []
    rest = torch.zeros(0, device=device)
    for wave in waves:
        rest = torch.cat([rest.to(wave.dtype), wave])
        whole = len(rest) // half * half
        sums.append(rest[:whole].square().view(-1, half).sum(1))
        rest = rest[whole:]
    blocks = torch.cat([*sums, rest.square().sum()[None]])
    # A frame is a whole second: the half before it and the half behind it.
    return ((pad(blocks[:-1], (1, 0)) + blocks) / (2 * half)).sqrt()


def gain(
    wanted: Tensor, own: Tensor, mix_rate: float, start: int, stop: int, samples: int
) -> Tensor:
    """Return the gain [stop - start] of a part of an output of so many `samples`.

    Of its loudness `own` it keeps as much as `mix_rate` says; the rest is `wanted`.
    """
    loud = _between(wanted, start, stop, samples)
    quiet = _between(own, start, stop, samples).clamp_min(_QUIETEST)
    return loud ** (1 - mix_rate) * quiet ** (mix_rate - 1)


def limited(output: Tensor) -> Tensor:
    """Return the output with its peak at or below `PEAK`: scaled as a whole, or as it is."""
    if not len(output):
        return output
    return output / (output.abs().max() / PEAK).clamp_min(1)


def _between(frames: Tensor, start: int, stop: int, samples: int) -> Tensor:
    """Return straight lines between frames that are spread over so many samples."""
    places = torch.arange(start, stop, device=frames.device, dtype=torch.float64) + 0.5
    places = (places * (len(frames) / samples) - 0.5).clamp_min(0)
    lower = places.long().clamp_max(len(frames) - 1)
    upper = (lower + 1).clamp_max(len(frames) - 1)
    share = (places - lower).to(frames.dtype)
    return torch.lerp(frames[lower], frames[upper], share)
