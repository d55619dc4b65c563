"""From latents to samples, many utterances at once, exactly.

Latents are stretched to frames of 256 samples and cut into windows (see `windows`). The windows
are computed in batches of fixed shapes (see `hifigan`) and put together again. What comes out
depends neither on the neighbours in a batch nor on where an utterance was cut.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate, linear

from .graphs import Graphs
from .hifigan import Generator, Layout
from .speakers import Speaker
from .vocoder_weights import STRIDES, VocoderWeights
from .windows import HALO_FRAMES, Window, plan

#: Samples of one frame.
HOP_SAMPLES: Final = math.prod(STRIDES)

#: Of windows, in frames. The widest is for all that lasts 2.7 s or longer.
WIDTHS: Final = (32, 64, 128, 256)

#: As slow as the reference lets anybody speak.
MINIMUM_SPEED: Final = 0.05


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a row of the decoder leaves behind: its latents, whose voice, which tempo."""

    latents: Tensor  # [codes, D]
    speaker: Speaker
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Piece:
    """One window of an utterance, and where its samples go."""

    window: Window
    frames: Tensor  # [D, frames] of the whole utterance
    condition: Tensor  # [sum of channels]
    samples: Tensor  # [samples] of the whole utterance


class Batch:
    """Fixed buffers for `rows` windows of one width, and the kernels over them."""

    def __init__(self, generator: Generator, rows: int, width: int, graphs: Graphs) -> None:
        self.rows = rows
        self._generator = generator
        self._frames = generator.frames(rows, width)  # [rows, D, (1,) width]
        self._conditions = generator.conditions(rows)  # [rows, sum of channels]
        self._samples = torch.empty(0)  # [rows, 256 width]
        #: Computes all rows, also those that nobody has filled: the shape never changes.
        self.run = graphs.record(self._generate)

    def compute(self, pieces: Sequence[Piece]) -> None:
        """Fill the samples of up to `rows` pieces."""
        for row, piece in enumerate(pieces):
            start, width = piece.window.start, piece.window.width
            frames = piece.frames[:, start : start + width]
            self._frames[row].copy_(frames.view_as(self._frames[row]))
            self._conditions[row].copy_(piece.condition)
        self.run()
        for row, piece in enumerate(pieces):
            start = piece.window.start * HOP_SAMPLES
            kept = slice(piece.window.keep_from * HOP_SAMPLES, piece.window.keep_to * HOP_SAMPLES)
            piece.samples[kept] = self._samples[row, kept.start - start : kept.stop - start]

    @torch.inference_mode()
    def _generate(self) -> None:
        self._samples = self._generator(self._frames, self._conditions)


class Vocoder:
    """All utterances of a call share batches of `rows` windows. Not thread-safe.

    A GPU wants many rows, half precision and `graphs`; a processor is best off with one row at a
    time. With `graphs`, nothing else may use the GPU during construction.
    """

    def __init__(
        self,
        weights: VocoderWeights,
        *,
        dtype: torch.dtype = torch.float32,
        layout: Layout = "channels_last",
        rows: int = 1,
        widths: Sequence[int] = WIDTHS,
        graphs: bool = False,
        compiled: bool = False,
    ) -> None:
        """`compiled` has PyTorch fuse what lies between the convolutions, once for each shape."""
        if min(widths) <= 2 * HALO_FRAMES:
            raise ValueError(f"a window of {min(widths)} frames would be all halo")
        device = weights.last.device
        self._weights = weights
        generator = Generator(weights, dtype, layout, compiled=compiled)
        shared = Graphs(device, enabled=graphs)
        # The widest first: the others fit into the memory that it takes.
        self._widths = sorted(widths, reverse=True)
        self._batches = {width: Batch(generator, rows, width, shared) for width in self._widths}
        self._plain = generator if not compiled else Generator(weights, dtype, layout)
        self._unrecorded = Graphs(device, enabled=False)
        # A few kilobytes each: every voice that is ever used may stay.
        self._conditions: dict[str, Tensor] = {}

    def warm_up(self) -> None:
        """Run every fixed shape once."""
        for batch in self._batches.values():
            batch.run()

    @torch.inference_mode()
    def vocode(self, utterances: Sequence[Utterance]) -> list[Tensor]:
        """Return the samples of each utterance, in order: [samples] float32, on the device.

        There are none of an utterance whose tempo leaves no latent.
        """
        samples = []
        waiting = defaultdict(list)
        for utterance in utterances:
            frames = self._stretch(utterance)
            samples.append(frames.new_empty(frames.shape[1] * HOP_SAMPLES))
            condition = self._condition(utterance.speaker)
            for window in plan(frames.shape[1], self._widths):
                waiting[window.width].append(Piece(window, frames, condition, samples[-1]))
        for width, pieces in waiting.items():
            # The shortest utterances fit no width. They are computed alone, in their own.
            batch = self._batches.get(width) or Batch(self._plain, 1, width, self._unrecorded)
            for start in range(0, len(pieces), batch.rows):
                batch.compute(pieces[start : start + batch.rows])
        return samples

    def _stretch(self, utterance: Utterance) -> Tensor:
        """Return the frames of an utterance, [D, frames] float32."""
        weights = self._weights
        frames = utterance.latents.float().T[None]
        tempo = 1.0 / max(utterance.speed, MINIMUM_SPEED)
        # One after another, as the reference does it: rounding down twice loses other frames.
        for scale in (tempo, weights.frames_per_latent, weights.stretch):
            if int(frames.shape[2] * scale) == 0:
                return frames[0, :, :0]
            if scale != 1.0:
                frames = interpolate(frames, scale_factor=scale, mode="linear")
        return frames[0]

    def _condition(self, speaker: Speaker) -> Tensor:
        """Return what a voice adds to each stage, [sum of channels], computed once."""
        found = self._conditions.get(speaker.revision)
        if found is None:
            weights = self._weights
            found = linear(speaker.embedding, weights.condition_weight, weights.condition_bias)
            self._conditions[speaker.revision] = found
        return found
