"""The pitch of many recordings at once, every 10 ms, by RMVPE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from .filled_sizes import all_filled
from .mel import HOP, MelSpectrogram, frames_of
from .packed_line import Line, lines_of
from .rmvpe import Rmvpe
from .rmvpe_file import RmvpeWeights

#: Pitches are 20 cents apart, counted from 10 Hz; the lowest one lies here.
_STEP_CENTS: Final = 20.0
_LOWEST_CENTS: Final = 1997.3794084376191
_ORIGIN_HZ: Final = 10.0

#: A frame whose likeliest pitch is not above this is unvoiced.
_VOICED: Final = 0.03

#: Neighbours on each side that the likeliest pitch is averaged with.
_NEAR: Final = 4

#: Frames of a recording that are computed at once: up to about a minute all of them, as the
#: peers do; beyond that half a minute, with two seconds around it that are not kept.
_WHOLE: Final = 6400
_PIECE: Final = 3200
_AROUND: Final = 200

#: Frames that are computed as one line: 164 s.
_LINE: Final = 16384


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames `start .. end` are computed, `keep_from .. keep_to` are kept."""

    start: int
    end: int
    keep_from: int
    keep_to: int

    def kept(self, computed: Tensor) -> Tensor:
        """Return what is kept of the frames from `start` on."""
        return computed[self.keep_from - self.start : self.keep_to - self.start]


def pieces_of(frames: int) -> list[Piece]:
    """Return the pieces of a recording, in order. Their kept parts follow one another."""
    if frames <= _WHOLE:
        return [Piece(0, frames, 0, frames)]
    return [
        Piece(max(0, kept - _AROUND), min(frames, end + _AROUND), kept, end)
        for kept in range(0, frames, _PIECE)
        for end in [min(frames, kept + _PIECE)]
    ]


class Pitch:
    """RMVPE on one device. Calls share nothing."""

    def __init__(self, weights: RmvpeWeights) -> None:
        self._network = Rmvpe(weights)
        self._mel = MelSpectrogram(weights.head_weight.device)
        self._is_gpu = weights.head_weight.is_cuda

    @torch.inference_mode()
    def f0(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return the pitch of each wave at 16 kHz in Hz, [samples // 160 + 1] float64, 0 unvoiced.

        A wave needs more than 512 samples. All of them are computed as one line: see `lines`.
        """
        plans = [pieces_of(frames_of(len(wave))) for wave in waves]
        cut = [
            wave[piece.start * HOP : min(len(wave), piece.end * HOP)]
            for wave, pieces in zip(waves, plans, strict=True)
            for piece in pieces
        ]
        found = iter(self.of_pieces(cut))
        return [torch.cat([piece.kept(next(found)) for piece in pieces]) for pieces in plans]

    @torch.inference_mode()
    def of_pieces(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return the same of waves that are pieces already, each as a whole."""
        return self.curves(self.heard(waves), [frames_of(len(wave)) for wave in waves])

    @torch.inference_mode()
    def heard(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return what `curves` needs to know of each wave, of those that share a line."""
        frames = [frames_of(len(wave)) for wave in waves]
        line = Line.of(frames, self._network.unit, few_widths=self._is_gpu)
        return self._network.heard(self._mel(waves, line), line)

    def every_line(self, most_samples: int) -> list[int]:
        """Return the samples of waves that are, each alone, all the lines that `lines` gives."""
        unit = self._network.unit
        return [(width - 1) * HOP for width in all_filled(min(_LINE, most_samples // HOP), unit)]

    def lines(self, waves_samples: Sequence[int], most_samples: int) -> list[list[int]]:
        """Return which waves of so many samples are to share a line, and so their memory."""
        frames = [frames_of(samples) for samples in waves_samples]
        return lines_of(frames, self._network.unit, min(_LINE, most_samples // HOP))

    @torch.inference_mode()
    def curves(self, heard: Sequence[Tensor], frames: Sequence[int]) -> list[Tensor]:
        """Return the pitch of what was heard in any batches, each so many `frames`."""
        # All frames at once: what finds a pitch looks at one frame.
        rows = self._network.salience(heard, frames)
        return list(decoded(torch.cat(rows)).split(list(frames)))

    @torch.inference_mode()
    def salience(self, waves: Sequence[Tensor]) -> list[Tensor]:
        """Return how likely each pitch is in each frame of each wave, [frames, PITCHES] float32."""
        return self._network.salience(self.heard(waves), [frames_of(len(wave)) for wave in waves])


def decoded(salience: Tensor) -> Tensor:
    """Return the pitch in Hz [..., frames] float64 of [..., frames, PITCHES]; 0 is unvoiced."""
    best, place = salience.max(-1, keepdim=True)
    near = place + torch.arange(2 * _NEAR + 1, device=salience.device)
    weights = pad(salience.double(), (_NEAR, _NEAR)).gather(-1, near)
    cents = _LOWEST_CENTS + _STEP_CENTS * (near - _NEAR)
    average = (weights * cents).sum(-1) / weights.sum(-1)
    return torch.where(best[..., 0] > _VOICED, _ORIGIN_HZ * 2 ** (average / 1200), 0.0)
