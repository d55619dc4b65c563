"""From features and pitch to samples, many utterances of one voice at once, exactly.

    features, coarse pitch -> prior -> latents + noise -> flow -> decoder <- source <- pitch

Utterances are padded into batches, and masks keep the padding out of everything. The decoder gets
no padding: it computes crops of what is to be kept (see `crops`). What comes out depends neither
on the neighbours in a batch nor on where an utterance was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from .crops import Crop, plan
from .flow import run_flow
from .generator import generator_for
from .noise import LATENTS, SOURCE, Noise, counter_noise
from .prior import latent_statistics
from .source import excitation, phases
from .voice_config import VoiceConfig
from .weights import SynthesizerWeights

#: How much of the latents' spread is drawn, as all conversions of this kind have it.
_TEMPERATURE: Final = 0.66666


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


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is computed at once: what bounds the memory."""

    #: Scores of attention, rows * frames * frames.
    scores: int = 1 << 28
    #: Frames that the decoder computes at once, and the widest crop of one utterance.
    frames: int = 4096
    widest: int = 1600
    #: Frames that widths are multiples of, so that many utterances share one.
    grain: int = 32


@dataclass(frozen=True, slots=True)
class _Piece:
    """One crop of an utterance, and what the decoder needs for it."""

    crop: Crop
    utterance: int
    z: Tensor  # [width, inter]
    condition: Tensor  # [channels]
    pitch: tuple[Tensor, Tensor, Tensor] | None  # begins, steps, f0: each [width]


class Synthesizer:
    """The networks of voices of any configuration. Keeps nothing; no call waits for the device."""

    def __init__(
        self, *, noise: Noise = counter_noise, limits: Limits | None = None, triton: bool = True
    ) -> None:
        """`noise` is drawn at places that depend on the utterance alone.

        With `triton` what lies between the decoder's convolutions is fused, on GPUs that can.
        """
        self._noise = noise
        self._limits = limits or Limits()
        self._triton = triton

    @torch.inference_mode()
    def synthesize(
        self, config: VoiceConfig, weights: SynthesizerWeights, utterances: Sequence[Utterance]
    ) -> list[Tensor]:
        """Return the samples of what is kept of each utterance, in order: [samples] float32."""
        hop = config.samples_per_frame
        waiting: dict[int, list[_Piece]] = defaultdict(list)
        device = weights.speakers.device
        samples = [
            torch.empty((one.keep[1] - one.keep[0]) * hop, device=device) for one in utterances
        ]
        for batch in self._batches(utterances):
            for piece in self._pieces(config, weights, utterances, batch):
                waiting[piece.crop.width].append(piece)
        for width, pieces in waiting.items():
            rows = max(1, self._limits.frames // width)
            for start in range(0, len(pieces), rows):
                group = pieces[start : start + rows]
                seeds = [utterances[piece.utterance].seed for piece in group]
                waves = self._decode(config, weights, group, seeds)
                for piece, wave in zip(group, waves, strict=True):
                    crop, offset = piece.crop, utterances[piece.utterance].keep[0]
                    kept = wave[
                        (crop.keep_from - crop.start) * hop : (crop.keep_to - crop.start) * hop
                    ]
                    place = (crop.keep_from - offset) * hop
                    samples[piece.utterance][place : place + len(kept)] = kept
        return samples

    def _batches(self, utterances: Sequence[Utterance]) -> Iterator[list[int]]:
        """Yield the places of utterances that go through prior and flow together."""
        order = sorted(range(len(utterances)), key=lambda place: -utterances[place].frames)
        batch: list[int] = []
        for place in order:
            longest = utterances[batch[0]].frames if batch else 0
            if batch and (len(batch) + 1) * longest**2 > self._limits.scores:
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _pieces(
        self,
        config: VoiceConfig,
        weights: SynthesizerWeights,
        utterances: Sequence[Utterance],
        batch: Sequence[int],
    ) -> Iterator[_Piece]:
        """Run prior and flow over a batch, and yield what the decoder is to compute of it."""
        rows = [utterances[place] for place in batch]
        padded = _Rows.of(config, weights, rows)
        conditions = linear(
            weights.speakers[padded.speakers], weights.conditions.weight, weights.conditions.bias
        )
        first, *gates = conditions.split(_widths(config, weights), dim=1)
        z = self._latents(config, weights, padded, gates)
        begins, steps = (
            phases(padded.f0_hz, config.samples_per_frame, config.sample_rate_hz)
            if padded.f0_hz is not None
            else (None, None)
        )
        for row, place in enumerate(batch):
            for crop in plan(
                rows[row].frames,
                *rows[row].keep,
                halo=config.halo_frames,
                widest=self._limits.widest,
                grain=self._limits.grain,
            ):
                span = slice(crop.start, crop.start + crop.width)
                pitch = None
                if begins is not None and steps is not None and padded.f0_hz is not None:
                    pitch = (begins[row, span], steps[row, span], padded.f0_hz[row, span])
                yield _Piece(crop, place, z[row, span], first[row], pitch)

    def _latents(
        self,
        config: VoiceConfig,
        weights: SynthesizerWeights,
        padded: _Rows,
        gates: Sequence[Tensor],
    ) -> Tensor:
        """Return what the decoder is to say, [rows, frames, inter]."""
        mean, log_spread = latent_statistics(
            weights.prior, config.heads, padded.features, padded.coarse, padded.mask
        )
        first = torch.zeros_like(padded.seeds)
        noise = self._noise(padded.seeds, LATENTS, first, mean[0].numel()).view_as(mean)
        z = torch.addcmul(mean, log_spread.exp(), noise.to(mean.dtype), value=_TEMPERATURE)
        return run_flow(weights.flow, z.mul_(padded.mask[:, :, None]), gates, padded.mask)

    def _decode(
        self,
        config: VoiceConfig,
        weights: SynthesizerWeights,
        pieces: Sequence[_Piece],
        seeds: Sequence[int],
    ) -> Tensor:
        """Return the samples of pieces of one width, [rows, width * samples_per_frame]."""
        z = torch.stack([piece.z for piece in pieces])
        condition = torch.stack([piece.condition for piece in pieces])
        source = None
        pitches = [piece.pitch for piece in pieces if piece.pitch is not None]
        if weights.decoder.source is not None and pitches:
            hop, device = config.samples_per_frame, z.device
            begins, steps, f0_hz = (torch.stack(parts) for parts in zip(*pitches, strict=True))
            firsts = torch.tensor([piece.crop.start * hop for piece in pieces], device=device)
            places = torch.tensor(seeds, device=device)
            noise = self._noise(places, SOURCE, firsts, z.shape[1] * hop)
            source = excitation(weights.decoder.source, begins, steps, f0_hz > 0, noise)
            source = source.to(z.dtype)
        network = generator_for(z.device, triton=self._triton)
        return network(config, weights.decoder, z, condition, source).float()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Utterances side by side, padded to the longest of them."""

    features: Tensor  # [rows, frames, 256 or 768]
    coarse: Tensor | None  # [rows, frames] int64
    f0_hz: Tensor | None  # [rows, frames] float32
    mask: Tensor  # [rows, frames]
    speakers: Tensor  # [rows] int64
    seeds: Tensor  # [rows] int64

    @classmethod
    def of(
        cls, config: VoiceConfig, weights: SynthesizerWeights, utterances: Sequence[Utterance]
    ) -> _Rows:
        device, dtype = weights.speakers.device, weights.speakers.dtype
        frames = torch.tensor([one.frames for one in utterances], device=device)
        longest = max(one.frames for one in utterances)
        mask = torch.arange(longest, device=device) < frames[:, None]
        coarse = f0_hz = None
        if config.has_pitch:
            coarse = _stacked([one.coarse for one in utterances], longest)
            f0_hz = _stacked([one.f0_hz for one in utterances], longest).float()
        return cls(
            features=_stacked([one.features for one in utterances], longest).to(dtype),
            coarse=coarse,
            f0_hz=f0_hz,
            mask=mask.to(dtype),
            speakers=torch.tensor([one.speaker for one in utterances], device=device),
            seeds=torch.tensor([one.seed for one in utterances], device=device),
        )


def _stacked(rows: Sequence[Tensor | None], frames: int) -> Tensor:
    """Return [rows, frames, ...], zeros behind the end of each row."""
    padded = []
    for row in rows:
        if row is None:
            raise ValueError("a voice with pitch wants the pitch of every utterance")
        behind = (0, 0) * (row.dim() - 1) + (0, frames - row.shape[0])
        padded.append(pad(row, behind))
    return torch.stack(padded)


def _widths(config: VoiceConfig, weights: SynthesizerWeights) -> list[int]:
    """Return how many conditions the first convolution and each step of the flow have."""
    gates = (weights.conditions.bias.shape[0] - config.initial_channels) // len(weights.flow)
    return [config.initial_channels] + [gates] * len(weights.flow)
