"""From latents to samples, many utterances at once, exactly.

Latents are stretched to frames of 256 samples and cut into windows (see `windows`). The windows
are computed in batches of fixed shapes (see `hifigan`) and put together again on the host. What
comes out depends neither on the neighbours in a batch nor on where an utterance was cut.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from ..request import Samples
from .graphs import Graphs
from .hifigan import Layout, generator_for
from .lane import Lane
from .speakers import Speaker
from .vocoder_weights import STRIDES, VocoderWeights
from .window_batch import Computed, Piece, WindowBatch
from .windows import HALO_FRAMES, alike, fitted, plan

logger = logging.getLogger(__name__)

#: Samples of one frame.
HOP_SAMPLES: Final = math.prod(STRIDES)

#: Of windows, in frames, and how many windows of it a GPU computes together. All but the widest
#: are for the ends of utterances, which are few: a quarter of the frames is nearly as fast, and
#: fills sooner. (With 2048 frames cuDNN takes four times as long as with 4096.)
ROWS: Final = {256: 16, 128: 8, 64: 16, 32: 16}

#: The same where somebody waits: a sentence of up to 7.6 s is one batch, which takes 2.3 ms instead
#: of 9.4; with 8 or 12 of the widest it would be 36 or 53 (measured on one NVIDIA H200).
URGENT_ROWS: Final = {256: 3, 128: 3, 64: 4, 32: 4}

#: Widths, in frames, of windows that `fit`, for processors. What is computed beside an utterance is
#: at most 18 % of it, from 34 frames on; 6 % on average below 234, and 10 % of long ones. There are
#: no more widths as torch prepares 14 to 46 MB of kernels for each that occurs, and keeps them.
FITTING_WIDTHS: Final = (*range(32, 96, 8), *range(96, 192, 16), *range(192, 257, 32))

#: Calls of `advance` that a window waits for others to fill its batch.
PATIENCE: Final = 3

#: As slow as the reference lets anybody speak.
MINIMUM_SPEED: Final = 0.05


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a row of the decoder leaves behind: its latents, whose voice, which tempo."""

    latents: Tensor  # [codes, D]
    speaker: Speaker
    speed: float = 1.0


class Vocoder:
    """Turns utterances into samples; those that are under way share batches. Not thread-safe.

    `begin` takes an utterance, `advance` has the device compute batches that are full or have
    waited, `finished` gives what is done. None of them waits for the device unless asked to.
    """

    #: Of the batches computed and not read, how many were so before the last `advance`.
    _begun = 0

    def __init__(
        self,
        weights: VocoderWeights,
        *,
        dtype: torch.dtype = torch.float32,
        layout: Layout = "channels_last",
        rows: int | None = 1,
        widths: Sequence[int] = tuple(ROWS),
        urgent_rows: Mapping[int, int] | None = None,
        fit: bool = False,
        graphs: bool = False,
        triton: bool = False,
        invariant: bool = True,
    ) -> None:
        """`rows` windows share a batch, or with None as many as `ROWS` has for their width.

        What is urgent shares no batch with what is not. With `urgent_rows`, windows by width, it
        has smaller batches, and windows of one width: the widest that fits.
        With `fit`, which `triton` cannot have, windows may reach beyond the end of an utterance:
        with many `widths` next to nothing is computed twice.

        An `invariant` batch leaves out rows in which a GPU would give a window other bits.

        With `graphs`, nothing else may use the GPU during construction. `triton` fuses what lies
        between the convolutions.
        """
        if min(widths) <= 2 * HALO_FRAMES:
            raise ValueError(f"a window of {min(widths)} frames would be all halo")
        self._weights = weights
        self._generator = generator_for(weights, dtype, layout, triton=triton)
        made = partial(self._made, Graphs(weights.last.device, enabled=graphs), invariant)
        batches = made({width: rows or ROWS[width] for width in widths})
        small = made(urgent_rows or {})
        self._warm = (*batches.values(), *small.values())[-1 if fit else 0 :]
        self._lane = Lane(batches, fitted if fit else plan, PATIENCE)
        self._urgent_lane = Lane(small, alike, 0) if small else self._lane.impatient()
        self._computed: deque[Computed] = deque()
        self._finished: list[tuple[str, Samples]] = []
        # A few kilobytes each: every voice that is ever used may stay.
        self._conditions: dict[str, Tensor] = {}

    def _made(
        self, recorder: Graphs, invariant: bool, shapes: Mapping[int, int]
    ) -> dict[int, WindowBatch]:
        """Return batches by width. The widest first: the others fit into the memory it takes."""
        return {
            width: WindowBatch(self._generator, shapes[width], width, recorder, invariant)
            for width in sorted(shapes, reverse=True)
        }

    def warm_up(self) -> None:
        """Run every fixed shape once; where they are to `fit`, which are many, the narrowest."""
        for batch in self._warm:
            batch.compute(())

    @torch.inference_mode()
    def begin(self, name: str, utterance: Utterance, *, urgent: bool = False) -> None:
        """Take an utterance; its latents are no longer needed after this, on this stream.

        An `urgent` one does not wait for its batches to fill. Raises torch's `OutOfMemoryError`
        for one that does not fit even alone; then nothing was taken.
        """
        frames = self._frames(utterance)
        length = len(frames)
        lane = self._urgent_lane if urgent else self._lane
        windows = lane.windows(length)
        samples: Samples = np.empty(length * HOP_SAMPLES, np.float32)
        if not windows:
            self._finished.append((name, samples))
            return
        condition = self._condition(utterance.speaker)
        missing = len(windows)
        unread = [missing]
        for window in windows:
            piece = Piece(name, window, frames, condition, samples, unread, urgent)
            if not lane.add(piece):
                # The shortest utterances fit no width. They are computed alone, in their own.
                recorder = Graphs(frames.device, enabled=False)
                alone = WindowBatch(self._generator, 1, window.width, recorder)
                self._computed.append(alone.compute([piece]))

    @torch.inference_mode()
    def advance(self, *, flush: bool = False) -> None:
        """Have the device compute all batches that are full, have waited, or all with `flush`."""
        self._begun = len(self._computed)
        for lane in (self._urgent_lane, self._lane):
            self._computed.extend(lane.computed(flush=flush))

    def finished(self, *, wait: bool = False) -> list[tuple[str, Samples]]:
        """Return names and samples of utterances that are done since the last call.

        With `wait`, one at least, if the device has any to compute. There are no samples of an
        utterance whose tempo leaves no latent.

        What is urgent is waited for once the device has begun it: that is a moment, in which it
        has more to do, and otherwise nobody would look before it has done that too.
        """
        begun = [computed.is_urgent for computed in islice(self._computed, self._begun)]
        due = len(begun) - begun[::-1].index(True) if any(begun) else 0
        self._begun = 0
        while self._computed and (
            due > 0 or (wait and not self._finished) or self._computed[0].is_done()
        ):
            self._finished += self._computed.popleft().read(HOP_SAMPLES)
            due -= 1
        done, self._finished = self._finished, []
        return done

    def vocode(self, utterances: Sequence[Utterance]) -> list[Tensor]:
        """Return the samples of each utterance, in order, on the host, all computed now."""
        for index, utterance in enumerate(utterances):
            self.begin(str(index), utterance)
        self.advance(flush=True)
        found: dict[str, Samples] = {}
        while len(found) < len(utterances):
            found.update(self.finished(wait=True))
        return [torch.from_numpy(found[str(index)]) for index in range(len(utterances))]

    def _frames(self, utterance: Utterance) -> Tensor:
        """Return the frames of an utterance. Without room for them, all others are made first."""
        try:
            return self._stretch(utterance)
        except torch.OutOfMemoryError as error:
            logger.warning("no memory for one utterance more, the batch ends here: %s", error)
        # Behind the exception, which holds what was made on the way to it.
        self._empty()
        return self._stretch(utterance)

    def _empty(self) -> None:
        """Compute all that was begun, wait for it, and give a GPU back the memory of its frames."""
        self.advance(flush=True)
        while self._computed:
            self._finished += self._computed.popleft().read(HOP_SAMPLES)
        torch.cuda.empty_cache()

    def _stretch(self, utterance: Utterance) -> Tensor:
        """Return the frames of an utterance, [frames, D] float32, in memory of its own."""
        weights = self._weights
        frames = utterance.latents.to(torch.float32, copy=True)
        tempo = 1.0 / max(utterance.speed, MINIMUM_SPEED)
        # One after another, as the reference does it: rounding down twice loses other frames.
        for scale in (tempo, weights.frames_per_latent, weights.stretch):
            frames = stretched(frames, scale)
        return frames

    def _condition(self, speaker: Speaker) -> Tensor:
        """Return what a voice adds to each stage, [sum of channels], computed once."""
        found = self._conditions.get(speaker.revision)
        if found is None:
            weights = self._weights
            found = linear(speaker.embedding, weights.condition_weight, weights.condition_bias)
            self._conditions[speaker.revision] = found
        return found


def stretched(frames: Tensor, scale: float) -> Tensor:
    """Return `frames` [frames, D] made `scale` times as long, linear in between.

    What `torch.nn.functional.interpolate` does to [1, D, frames], computed as it does it, but
    in an order of memory that suits a GPU.
    """
    count = int(len(frames) * scale)
    if count == len(frames):
        return frames
    # It has the step in float32, and rounds each place once.
    step = float(np.float32(1.0 / scale))
    places = torch.arange(count, device=frames.device, dtype=torch.float64) + 0.5
    places = (places * step - 0.5).clamp_(min=0.0).float()
    lower = places.long()
    upper = (lower + 1).clamp_(max=len(frames) - 1)
    return torch.lerp(frames[lower], frames[upper], (places - lower)[:, None])
