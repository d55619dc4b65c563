"""What a voice is to say, alone and side by side with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..transfers import uploaded
from .filled_sizes import few_shapes_on, filled, power_of_two
from .voice_config import VoiceConfig
from .weights import SynthesizerWeights

#: Rows are a multiple of so many frames long: what a library prepares for each length it keeps.
_ALIGNED: Final = 32


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a voice is to say: one row of a batch.

    Frames are 10 ms. `f0_hz` is 0 where there is no pitch; it and `coarse` are None for a voice
    without pitch.
    """

    features: Tensor  # [frames, 256 or 768]
    coarse: Tensor | None  # [frames] int64, 1 .. 255
    f0_hz: Tensor | None  # [frames] float32
    #: The frames whose samples are wanted: from, to.
    keep: tuple[int, int]
    speaker: int = 0
    #: The noise is this seed's, from place `frame` on.
    seed: int = 0

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return self.features.shape[0]

    def beginning(self) -> Utterance:
        """Return its first frame, of which nothing is wanted."""
        coarse = None if self.coarse is None else self.coarse[:1]
        f0_hz = None if self.f0_hz is None else self.f0_hz[:1]
        return Utterance(self.features[:1], coarse, f0_hz, (0, 0), self.speaker, self.seed)


@dataclass(frozen=True, slots=True)
class PaddedRows:
    """Utterances side by side, padded to one of few lengths."""

    features: Tensor  # [rows, frames, 256 or 768]
    coarse: Tensor | None  # [rows, frames] int64
    f0_hz: Tensor | None  # [rows, frames] float32
    mask: Tensor  # [rows, frames]
    speakers: Tensor  # [rows] int64
    seeds: Tensor  # [rows] int64

    @classmethod
    def of(
        cls, config: VoiceConfig, weights: SynthesizerWeights, utterances: Sequence[Utterance]
    ) -> PaddedRows:
        """Pad them. Raises `ValueError` if a voice with pitch is to say something without.

        Where shapes are to be few, rows are as many as a power of two: what is added means nothing.
        """
        device, dtype = weights.speakers.device, weights.speakers.dtype
        counts = [one.frames for one in utterances]
        longest = -(-max(counts) // _ALIGNED) * _ALIGNED
        if few_shapes_on(device):
            longest = filled(max(counts), _ALIGNED)
            added = power_of_two(len(counts)) - len(counts)
            # A row without a frame would be no numbers.
            utterances = [*utterances, *[utterances[0].beginning()] * added]
            counts += [1] * added
        mask = torch.arange(longest, device=device) < uploaded(counts, device)[:, None]
        places = uploaded(_laid_out(counts, longest), device)
        coarse = f0_hz = None
        if config.has_pitch:
            coarse = _stacked([one.coarse for one in utterances], places)
            f0_hz = _stacked([one.f0_hz for one in utterances], places).float()
        return cls(
            features=_stacked([one.features for one in utterances], places).to(dtype),
            coarse=coarse,
            f0_hz=f0_hz,
            mask=mask.to(dtype),
            speakers=uploaded([one.speaker for one in utterances], device),
            seeds=uploaded([one.seed for one in utterances], device),
        )


def _laid_out(counts: Sequence[int], longest: int) -> npt.NDArray[np.int64]:
    """Return [rows, longest]: where each frame is, rows one behind another; then the last place."""
    places = np.full((len(counts), longest), sum(counts), np.int64)
    begin = 0
    for row, count in zip(places, counts, strict=True):
        row[:count] = np.arange(begin, begin + count)
        begin += count
    return places


def _stacked(rows: Sequence[Tensor | None], places: Tensor) -> Tensor:
    """Return [rows, frames, ...], zeros behind the end of each row."""
    there = [row for row in rows if row is not None]
    if len(there) < len(rows):
        raise ValueError("a voice with pitch wants the pitch of every utterance")
    return torch.cat([*there, torch.zeros_like(there[0][:1])])[places]
