"""From features and pitch to samples, many utterances of one voice at once, exactly.

    features, coarse pitch -> prior -> latents + noise -> flow -> decoder <- source <- pitch

Utterances are padded into batches, and masks keep the padding out of everything. The decoder gets
no padding: it computes windows full of what is to be kept (see `windows`). What comes out depends
neither on the neighbours in a batch nor on where an utterance was cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import linear

from ..transfers import uploaded
from .filled_sizes import few_shapes_on
from .flow import run_flow
from .generator import generator_for
from .noise import LATENTS, SOURCE, Noise, counter_noise
from .prior import latent_statistics
from .row_counts import portions
from .source import excitation, phases
from .utterance import PaddedRows, Utterance
from .voice_config import VoiceConfig
from .voice_graphs import Run, VoiceGraphs, run_plainly
from .weights import SynthesizerWeights
from .windows import Span, Window, windows_of

#: How much of the latents' spread is drawn, as all conversions of this kind have it.
_TEMPERATURE: Final = 0.66666


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is computed at once, and in which shapes: what bounds the memory."""

    #: Scores of attention, rows * frames * frames.
    scores: int = 1 << 25
    #: Utterances that are computed at once before the decoder: what they are to a GPU is launches.
    utterances: int = 32
    #: Frames of the decoder's windows, and how many of them are computed at once: a GPU is no
    #: faster with more windows (measured on one NVIDIA H200). Of a voice of few positions it
    #: computes more.
    width: int = 512
    rows: int = 8
    #: On a processor the last window is no wider than a multiple of this.
    grain: int = 64


@dataclass(frozen=True, slots=True)
class _Frames:
    """What the decoder needs of all frames of all utterances, one behind the other."""

    z: Tensor  # [frames, inter]
    pitch: Tensor | None  # [frames, 3] float32: begins, steps, f0
    #: Where each utterance begins.
    firsts: Sequence[int]


class Synthesizer:
    """The networks of voices of any configuration. Keeps nothing; no call waits for the device."""

    def __init__(
        self,
        *,
        noise: Noise = counter_noise,
        limits: Limits | None = None,
        triton: bool = True,
        graphs: bool = False,
    ) -> None:
        """`noise` is drawn at places that depend on the utterance alone.

        With `triton` what lies between the decoder's convolutions is fused, on GPUs that can; with
        `graphs` the kernels of a shape that comes again are one launch there.
        """
        self._graphs = VoiceGraphs() if graphs else None
        self._noise = noise
        self._limits = limits or Limits()
        self._triton = triton

    @torch.inference_mode()
    def synthesize(
        self, config: VoiceConfig, weights: SynthesizerWeights, utterances: Sequence[Utterance]
    ) -> list[Tensor]:
        """Return the samples of what is kept of each utterance, in order: [samples] float32."""
        hop, device = config.samples_per_frame, weights.speakers.device
        kept = [np.empty(one.keep[1] - one.keep[0], np.int64) for one in utterances]
        found: list[Tensor] = []
        computed = 0
        run = run_plainly(weights) if self._graphs is None else self._graphs.over(config, weights)
        frames = self._frames(run, config, weights, utterances)
        for windows in self._groups(config, utterances, device):
            found.append(self._decode(run, config, utterances, frames, windows).view(-1, hop))
            for window in windows:
                for part in window.segments:
                    first, count = computed + part.kept_place, part.keep_to - part.keep_from
                    to = part.keep_from - utterances[part.utterance].keep[0]
                    kept[part.utterance][to : to + count] = np.arange(first, first + count)
                computed += window.width
        places = uploaded(np.concatenate(kept), device)
        samples = torch.cat(found)[places].flatten()
        return list(samples.split([hop * len(one) for one in kept]))

    def _frames(
        self,
        run: Run,
        config: VoiceConfig,
        weights: SynthesizerWeights,
        utterances: Sequence[Utterance],
    ) -> _Frames:
        """Run prior and flow over all utterances, in batches."""
        found: list[_Frames] = []
        firsts: dict[int, int] = {}
        computed = 0
        for batch in self._batches(utterances):
            padded = PaddedRows.of(config, weights, [utterances[place] for place in batch])
            longest = padded.mask.shape[1]
            firsts |= {place: computed + row * longest for row, place in enumerate(batch)}
            computed += len(padded.mask) * longest
            found.append(self._batch(run, config, padded))
        pitches = [one.pitch for one in found if one.pitch is not None]
        return _Frames(
            torch.cat([one.z for one in found]),
            torch.cat(pitches) if pitches else None,
            [firsts[place] for place in range(len(utterances))],
        )

    def _batch(self, run: Run, config: VoiceConfig, padded: PaddedRows) -> _Frames:
        z = run(
            "latents",
            partial(self._latents, config),
            *(padded.features, padded.coarse, padded.mask, padded.speakers, padded.seeds),
        )
        pitch = None
        if padded.f0_hz is not None:
            begins, steps = phases(padded.f0_hz, config.samples_per_frame, config.sample_rate_hz)
            pitch = torch.stack([begins, steps, padded.f0_hz], dim=-1).flatten(0, 1)
        return _Frames(z.flatten(0, 1), pitch, [])

    def _groups(
        self, config: VoiceConfig, utterances: Sequence[Utterance], device: torch.device
    ) -> Iterator[list[Window]]:
        """Yield the windows that the decoder computes together: of one width."""
        halo = config.halo_frames
        width = max(self._limits.width, 8 * halo)
        few = few_shapes_on(device)
        grain = width if few else self._limits.grain
        alike: dict[int, list[Window]] = defaultdict(list)
        for speaker in sorted({one.speaker for one in utterances}):
            spans = {
                place: Span(one.frames, *one.keep)
                for place, one in enumerate(utterances)
                if one.speaker == speaker
            }
            for window in windows_of(spans, halo=halo, width=width, grain=grain):
                alike[window.width].append(window)
        most = self._limits.rows
        for width, windows in alike.items():
            start, counts = 0, [most] * -(-len(windows) // most)
            if few:
                counts = list(portions(len(windows), width * config.samples_per_frame, most))
            for count in counts:
                group = windows[start : start + count]
                # What fills the rows of a batch up is computed for nothing.
                missing = count - len(group) if few else 0
                yield group + [Window(width, ())] * missing
                start += count

    def _batches(self, utterances: Sequence[Utterance]) -> Iterator[list[int]]:
        """Yield the places of utterances that go through prior and flow together."""
        left = sorted(range(len(utterances)), key=lambda place: -utterances[place].frames)
        while left:
            longest = utterances[left[0]].frames
            most = min(self._limits.utterances, max(1, self._limits.scores // longest**2))
            # As many as a power of two: see `PaddedRows`.
            count = 1 << (most.bit_length() - 1)
            yield left[:count]
            left = left[count:]

    def _latents(
        self,
        config: VoiceConfig,
        weights: SynthesizerWeights,
        features: Tensor,
        coarse: Tensor | None,
        mask: Tensor,
        speakers: Tensor,
        seeds: Tensor,
    ) -> Tensor:
        """Return what the decoder is to say, [rows, frames, inter]."""
        _, *gates = _conditions(config, weights, speakers)
        mean, log_spread = latent_statistics(weights.prior, config.heads, features, coarse, mask)
        first = torch.zeros_like(seeds)
        noise = self._noise(seeds, LATENTS, first, mean[0].numel()).view_as(mean)
        z = torch.addcmul(mean, log_spread.exp(), noise.to(mean.dtype), value=_TEMPERATURE)
        return run_flow(weights.flow, z.mul_(mask[:, :, None]), gates, mask)

    def _decode(
        self,
        run: Run,
        config: VoiceConfig,
        utterances: Sequence[Utterance],
        frames: _Frames,
        windows: Sequence[Window],
    ) -> Tensor:
        """Return the samples of windows of one width, [rows, width * samples_per_frame]."""
        device = frames.z.device
        places, seeds, numbers = uploaded(_laid_out(utterances, frames, windows), device)
        first = [one.segments[0].utterance if one.segments else 0 for one in windows]
        speakers = uploaded([utterances[place].speaker for place in first], device)
        pitch = None if frames.pitch is None else frames.pitch[places]
        part = partial(self._samples, config)
        return run("samples", part, frames.z[places], pitch, seeds, numbers, speakers)

    def _samples(
        self,
        config: VoiceConfig,
        weights: SynthesizerWeights,
        z: Tensor,
        pitch: Tensor | None,
        seeds: Tensor,
        numbers: Tensor,
        speakers: Tensor,
    ) -> Tensor:
        """Return the samples of frames, each of its utterance's seed and number: [rows, width].

        `pitch` [rows, width, 3] is that of `_Frames`.
        """
        hop, source = config.samples_per_frame, None
        if weights.decoder.source is not None and pitch is not None:
            begins, steps, f0_hz = pitch.unbind(-1)
            noise = self._noise(seeds.flatten(), SOURCE, numbers.flatten() * hop, hop)
            noise = noise.view(len(z), -1)
            source = excitation(weights.decoder.source, begins, steps, f0_hz > 0, noise)
            source = source.to(z.dtype)
        network = generator_for(z.device, triton=self._triton)
        condition, *_ = _conditions(config, weights, speakers)
        return network(config, weights.decoder, z, condition, source).float()


def _laid_out(
    utterances: Sequence[Utterance], frames: _Frames, windows: Sequence[Window]
) -> npt.NDArray[np.int64]:
    """Return [3, rows, width]: where each frame is, its utterance's seed, its number in that."""
    laid = np.zeros((3, len(windows), windows[0].width), np.int64)
    for row, window in enumerate(windows):
        for part in window.segments:
            numbers = np.arange(part.start, part.start + part.width)
            view = laid[:, row, part.place : part.place + part.width]
            view[0] = frames.firsts[part.utterance] + numbers
            view[1] = utterances[part.utterance].seed
            view[2] = numbers
    return laid


def _conditions(
    config: VoiceConfig, weights: SynthesizerWeights, speakers: Tensor
) -> tuple[Tensor, ...]:
    """Return what each row's speaker adds to the decoder's first convolution, and to the gates."""
    by = weights.conditions
    added = linear(weights.speakers[speakers], by.weight, by.bias)
    parts: tuple[Tensor, ...] = added.split(_widths(config, weights), dim=1)
    return parts


def _widths(config: VoiceConfig, weights: SynthesizerWeights) -> list[int]:
    """Return how many conditions the first convolution and each step of the flow have."""
    gates = (weights.conditions.bias.shape[0] - config.initial_channels) // len(weights.flow)
    return [config.initial_channels] + [gates] * len(weights.flow)
