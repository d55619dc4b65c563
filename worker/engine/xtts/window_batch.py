"""Windows of one width computed together, and what becomes of them on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..request import Samples
from .graphs import Graphs
from .hifigan import Generator
from .windows import Window


@dataclass(frozen=True, slots=True)
class Piece:
    """One window of an utterance, and where its samples go."""

    name: str
    window: Window
    frames: Tensor  # [frames, D] of the whole utterance
    condition: Tensor  # [sum of channels]
    samples: Samples  # [samples] of the whole utterance
    #: One number, shared by all windows of the utterance: how many are not read yet.
    unread: list[int]
    #: True if somebody waits for the utterance.
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Computed:
    """A batch that the device has done, or will have."""

    pieces: Sequence[Piece]
    #: The row of each piece in `samples`.
    places: Sequence[int]
    samples: Tensor  # [rows, samples of a window] float32, on the host
    done: torch.cuda.Event | None

    @property
    def is_urgent(self) -> bool:
        """True if somebody waits for any of it."""
        return any(piece.urgent for piece in self.pieces)

    def is_done(self) -> bool:
        """Tell whether `read` would not wait."""
        return self.done is None or self.done.query()

    def read(self, hop_samples: int) -> list[tuple[str, Samples]]:
        """Put the windows in their places; return the utterances that are whole now."""
        if self.done is not None:
            self.done.synchronize()
        computed: Samples = self.samples.numpy()
        whole = []
        for row, piece in zip(self.places, self.pieces, strict=True):
            start, first, last = (
                frame * hop_samples
                for frame in (piece.window.start, piece.window.keep_from, piece.window.keep_to)
            )
            piece.samples[first:last] = computed[row, first - start : last - start]
            piece.unread[0] -= 1
            if not piece.unread[0]:
                whole.append((piece.name, piece.samples))
        return whole


class WindowBatch:
    """Fixed buffers for `rows` windows of one width, and the kernels over them.

    A library's kernels may sum up in another order where the work of a GPU runs out, which is
    in some of the last rows of a batch, always the same. An `invariant` batch finds them by
    trying, and leaves them empty: a window has the same bits in all rows that are used.
    """

    def __init__(
        self, generator: Generator, rows: int, width: int, recorder: Graphs, invariant: bool = False
    ) -> None:
        self._generator = generator
        frames = generator.frames(rows, width)  # [rows, D, (1,) width]
        self._inputs = frames
        #: The same memory as [rows, width, D].
        self._frames = frames.view(rows, -1, width).transpose(1, 2)
        self._conditions = generator.conditions(rows)  # [rows, sum of channels]
        self._samples = torch.empty(0)  # [rows, samples of a window] float32
        #: Where rows end within the width; none at all if every row fills it.
        self._ends: tuple[int, ...] = ()
        # Computes all rows, also those that nobody has filled: the shape never changes.
        self._run = recorder.record(self._generate)
        is_gpu = frames.device.type == "cuda"
        self._places = self._alike() if invariant and is_gpu else list(range(rows))

    @property
    def room(self) -> int:
        """How many pieces fit."""
        return len(self._places)

    @torch.inference_mode()
    def compute(self, pieces: Sequence[Piece]) -> Computed:
        """Have the device compute up to `room` pieces."""
        places = self._places[: len(pieces)]
        ends = []
        for row, piece in zip(places, pieces, strict=True):
            start, width = piece.window.start, piece.window.width
            frames = piece.frames[start : start + width]
            ends.append(len(frames))
            self._frames[row, : len(frames)].copy_(frames)
            self._conditions[row].copy_(piece.condition)
        self._ends = tuple(ends) if any(end < self._frames.shape[1] for end in ends) else ()
        self._run()
        samples = self._samples[: places[-1] + 1 if places else 0]
        if samples.device.type == "cpu" or not pieces:
            return Computed(pieces, places, samples, None)
        host = torch.empty(samples.shape, dtype=samples.dtype, pin_memory=True)
        host.copy_(samples, non_blocking=True)
        done = torch.cuda.Event()
        done.record()
        return Computed(pieces, places, host, done)

    @torch.inference_mode()
    def _generate(self) -> None:
        self._samples = self._generator(self._inputs, self._conditions, self._ends).float()

    @torch.inference_mode()
    def _alike(self) -> list[int]:
        """Return the most rows that make the same samples of the same window."""
        generator = torch.Generator(self._inputs.device).manual_seed(0)
        for buffer in (self._inputs, self._conditions):
            buffer[0].normal_(generator=generator)
            buffer.copy_(buffer[:1].clone().expand_as(buffer))
        self._run()
        agrees = (self._samples[:, None] == self._samples[None]).all(-1)  # [rows, rows]
        alike: list[int] = agrees[agrees.sum(0).argmax()].nonzero()[:, 0].tolist()
        return alike
