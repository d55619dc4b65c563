"""The loudness of the source, given back to what a voice made of it."""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn.functional import interpolate, pad

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
    wanted = _loudness(source, source_rate_hz, len(output))
    own = _loudness(output, rate_hz, len(output)).clamp_min(_QUIETEST)
    return output * (wanted ** (1 - mix_rate) * own ** (mix_rate - 1)).to(output.dtype)


def limited(output: Tensor) -> Tensor:
    """Return the output with its peak at or below `PEAK`: scaled as a whole, or as it is."""
    if not len(output):
        return output
    return output / (output.abs().max() / PEAK).clamp_min(1)


def _loudness(wave: Tensor, rate_hz: int, samples: int) -> Tensor:
    """Return the root mean square around each of `samples` places spread over the wave."""
    half = rate_hz // 2
    blocks = pad(wave.square(), (0, half - len(wave) % half)).view(-1, half).sum(1)
    # A frame is a whole second: the half before it and the half behind it.
    frames = (pad(blocks[:-1], (1, 0)) + blocks) / (2 * half)
    return interpolate(frames.sqrt()[None, None], size=samples, mode="linear")[0, 0]
