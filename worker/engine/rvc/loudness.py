"""The loudness of the source, given back to what a voice made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from ..transfers import uploaded

#: The least loudness of an output that is divided by.
_QUIETEST: Final = 1e-6

#: A conversion's peak stays at or below this.
PEAK: Final = 0.99


def mixed(
    sources: Sequence[Tensor],
    source_rate_hz: int,
    outputs: Sequence[Tensor],
    rate_hz: int,
    mix_rates: Sequence[float],
) -> Tensor:
    """Return outputs with their loudness moved towards their sources', [rows, longest].

    With a mix rate of 1 one keeps its own, with 0 it gets the source's. The names and the curve
    are those of the peers: loudness over seconds, every half second, straight lines between.
    """
    batch = pad_sequence(list(outputs), batch_first=True)
    device, length = batch.device, batch.shape[1]
    counts = uploaded([len(row) for row in outputs], device)
    curves = []
    for rows, hz in ((sources, source_rate_hz), (outputs, rate_hz)):
        frames = uploaded([len(row) // (hz // 2) + 1 for row in rows], device)
        padded = batch if rows is outputs else pad_sequence(list(rows), batch_first=True)
        curves.append(_between(_loudness_of_rows(padded, hz), frames, 0, length, counts))
    loud, quiet = curves
    rates = uploaded(np.array(mix_rates, np.float64)[:, None], device)
    quiet = quiet.clamp_min(_QUIETEST)
    return batch * (loud ** (1 - rates) * quiet ** (rates - 1)).to(batch.dtype)


class LoudnessMeter:
    """The loudness of waves that come one after another, end to end."""

    def __init__(self, rate_hz: int, device: torch.device) -> None:
        self._half = rate_hz // 2
        self._sums: list[Tensor] = []
        self._rest = torch.zeros(0, device=device)

    def add(self, wave: Tensor) -> None:
        """Hear the next samples [n]."""
        rest = torch.cat([self._rest.to(wave.dtype), wave])
        whole = len(rest) // self._half * self._half
        self._sums.append(rest[:whole].square().view(-1, self._half).sum(1))
        self._rest = rest[whole:].clone()

    def curve(self) -> Tensor:
        """Return the root mean square of every second, each half second, of all that was heard.

        [seconds * 2 + 1], in the dtype of the waves, a bit more than they last.
        """
        blocks = torch.cat([*self._sums, self._rest.square().sum()[None]])
        # A frame is a whole second: the half before it and the half behind it.
        return ((pad(blocks[:-1], (1, 0)) + blocks) / (2 * self._half)).sqrt()


def gain(
    wanted: Tensor, own: Tensor, mix_rate: float, start: int, stop: int, samples: int
) -> Tensor:
    """Return the gain [stop - start] of a part of an output of so many `samples`.

    Of its loudness `own` it keeps as much as `mix_rate` says; the rest is `wanted`.
    """
    counts = uploaded([samples], wanted.device)
    loud, quiet = (
        _between(one[None], uploaded([len(one)], one.device), start, stop, counts)[0]
        for one in (wanted, own)
    )
    return loud ** (1 - mix_rate) * quiet.clamp_min(_QUIETEST) ** (mix_rate - 1)


def limited(outputs: Tensor) -> Tensor:
    """Return outputs [.., samples] with peaks at or below `PEAK`: scaled as a whole, or as is."""
    if not outputs.shape[-1]:
        return outputs
    return outputs / (outputs.abs().amax(-1, keepdim=True) / PEAK).clamp_min(1)


def _loudness_of_rows(waves: Tensor, rate_hz: int) -> Tensor:
    """Return what `LoudnessMeter` finds in each row, which zeros follow."""
    half = rate_hz // 2
    count = waves.shape[1] // half + 1
    blocks = pad(waves, (0, count * half - waves.shape[1])).square_().view(-1, count, half).sum(-1)
    return ((pad(blocks[:, :-1], (1, 0)) + blocks) / (2 * half)).sqrt()


def _between(frames: Tensor, counts: Tensor, start: int, stop: int, samples: Tensor) -> Tensor:
    """Return straight lines between so many frames of each row, spread over so many samples."""
    last = (counts - 1)[:, None]
    places = torch.arange(start, stop, device=frames.device, dtype=torch.float64) + 0.5
    places = (places * (counts.double() / samples)[:, None] - 0.5).clamp_min(0)
    lower = torch.minimum(places.long(), last)
    upper = torch.minimum(lower + 1, last)
    share = (places - lower).to(frames.dtype)
    return torch.lerp(frames.gather(1, lower), frames.gather(1, upper), share)
