"""Continuous decoding: rows of many texts and voices through one GPT, a burst of steps at a time.

A row is prefilled into a slot, decoded with all others until it draws the stop id or reaches
its limit, and leaves. What it leaves behind is its latents, which the vocoder turns into sound;
they are written while decoding, so the GPT runs over a text once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import linear

from ..triton_support import has_triton
from . import transformer
from .attention import Attend, attend_live, attend_within
from .cache import slot_cache
from .graphs import Graphs
from .prefill import Prefill, placed
from .prompt import Prompt
from .rows import Rows
from .sampling import Noise, SamplingRows, counter_noise, sample
from .weights import GptWeights

#: See `transformer.decode`.
Layers = Callable[[GptWeights, Tensor, Tensor, Tensor, Attend], Tensor]

#: Rows that one step may have in latency mode, below the number of slots.
_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384)

#: Positions that a step may look at where the kernel cannot look at each row's own length.
_WINDOWS: Final = (256, 384, 640)


@dataclass(slots=True)
class _Ticket:
    """One row from prefill to its end; the next row in the same slot is another ticket."""

    #: Not less than the row's position on the device.
    position: int


@dataclass(frozen=True, slots=True)
class _Report:
    """What a burst leaves for the host: who was in it, and which rows have ended after it."""

    tickets: dict[int, _Ticket]
    #: [2, slots] int64, on the host: length, and the id at that end, of rows that have ended.
    ends: Tensor
    done: torch.cuda.Event | None


class Decoder:
    """The GPT with `slots` rows. All calls come from one thread and, on a GPU, on one stream.

    In *invariant* mode every step has all slots in it, busy or not: the same kernels on the same
    shapes, so that a row gives the same bits alone, among others, and in any slot. In *latency*
    mode a step has the first 1, 2, 4 .. rows up to the highest busy slot. That needs no
    index and no copy, only that whoever assigns slots takes the lowest free one.
    """

    @torch.inference_mode()
    def __init__(
        self,
        weights: GptWeights,
        slots: int,
        *,
        invariant: bool = True,
        noise: Noise = counter_noise,
        triton: bool = True,
        graphs: bool = True,
    ) -> None:
        """Take the memory for `slots` rows and, on a GPU, record a graph for every shape.

        With `triton` or `graphs` false a GPU does without. A `noise` that looks at the host
        needs `graphs` false.
        """
        self._weights = weights
        self._slots = slots
        self._noise = noise
        self._rows = Rows.idle(weights, slots)
        # One slot more, for the padding of prefills.
        self._cache = slot_cache(weights, slots + 1)
        self._choose_kernels(triton=triton, invariant=invariant)
        self._buckets = (slots,) if invariant else (*(b for b in _BUCKETS if b < slots), slots)
        recorder = Graphs(weights.device, enabled=graphs)
        self._steps = {
            (bucket, window): recorder.record(self._step_of(bucket, window))
            for bucket in reversed(self._buckets)
            for window in reversed(self._windows)
        }
        self._prefill = Prefill(weights, self._cache, recorder, self._add_norm, self._triton)
        self._running: dict[int, _Ticket] = {}
        # Of rows that `poll` has told of.
        self._lengths: dict[int, int] = {}
        self._last_codes: dict[int, int] = {}
        self._reports: deque[_Report] = deque()

    def _choose_kernels(self, *, triton: bool, invariant: bool) -> None:
        """Take the fastest way of the device to attend, and the windows that it needs."""
        device, positions = self._weights.device, self._weights.positions
        self._add_norm = transformer.add_norm
        self._windows: tuple[int, ...] = (positions,)
        self._attend: Callable[[int], Attend] = attend_within
        self._triton = triton and has_triton(device)
        if self._triton:
            from . import kernels

            self._add_norm = kernels.add_norm
            self._attend = lambda _: kernels.attend
        elif device.type == "cpu":
            self._attend = lambda _: attend_live
        elif not invariant:
            self._windows = (*(w for w in _WINDOWS if w < positions), positions)

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[Prompt]) -> None:
        """Put each prompt into its slot, to be decoded from the next burst on.

        Raises `ValueError` before anything is done if a prompt cannot be, or its slot is busy.
        """
        slots = [prompt.slot for prompt in prompts]
        for prompt in prompts:
            prompt.check(self._weights)
            if not 0 <= prompt.slot < self._slots or prompt.slot in self._running:
                raise ValueError(f"slot {prompt.slot} is not free")
        if len(set(slots)) < len(slots):
            raise ValueError(f"a slot is given twice: {slots}")
        if not prompts:
            return
        self._prefill.fill(prompts)
        device, weights = self._weights.device, self._weights
        sampling = SamplingRows.of([prompt.sampling for prompt in prompts], weights.audio_ids)
        limits = [prompt.max_codes or weights.max_codes for prompt in prompts]
        self._rows.begin(
            placed(torch.tensor(slots), device),
            placed(torch.tensor([prompt.length for prompt in prompts]), device),
            placed(torch.tensor(limits), device),
            sampling.map(lambda values: placed(values, device)),
            weights.start_mel_id,
        )
        self._running |= {prompt.slot: _Ticket(prompt.length) for prompt in prompts}
        self._forget(slots)

    @torch.inference_mode()
    def burst(self, steps: int) -> None:
        """Advance every row by up to `steps` ids, without waiting for the device."""
        if not self._running:
            return
        bucket = _fitting(self._buckets, max(self._running) + 1)
        furthest = max(ticket.position for ticket in self._running.values()) + steps
        step = self._steps[bucket, _fitting(self._windows, furthest)]
        for _ in range(steps):
            step()
        for ticket in self._running.values():
            ticket.position += steps
        self._reports.append(self._report())

    def poll(self, in_flight: int = 0) -> dict[int, int]:
        """Return the slots that have ended since the last call, with their lengths in ids.

        Waits until no more than `in_flight` bursts are unread: with 1, the device has a burst
        to do while the host looks at the one before. The stop id counts as one of the ids.
        """
        ended: dict[int, int] = {}
        while len(self._reports) > in_flight:
            report = self._reports.popleft()
            if report.done is not None:
                report.done.synchronize()
            lengths, codes = report.ends.tolist()
            for slot, ticket in report.tickets.items():
                if lengths[slot] and self._running.get(slot) is ticket:
                    del self._running[slot]
                    ended[slot] = lengths[slot]
                    self._last_codes[slot] = codes[slot]
        self._lengths |= ended
        return ended

    def latents(self, slot: int) -> Tensor:
        """Return the latents [ids, D] float32 of a row that `poll` has told of.

        A view that is good until the slot is prefilled again. Line `i` is what the GPT makes
        of the start and the first `i` ids: the state from which id `i` was drawn.
        """
        return self._rows.latents[slot, : self._lengths[slot]]

    def codes(self, slot: int) -> Tensor:
        """Return the ids [ids] of a row that `poll` has told of, its stop id among them."""
        return self._rows.codes[slot, : self._lengths[slot]]

    def is_capped(self, slot: int) -> bool:
        """Tell, without waiting, whether a row that `poll` has told of met the model's limit."""
        is_full = self._lengths[slot] == self._weights.max_codes
        return is_full and self._last_codes[slot] != self._weights.stop_mel_id

    @torch.inference_mode()
    def release(self, slots: Sequence[int]) -> None:
        """Forget rows, ended or not; what is not here is ignored."""
        running = [slot for slot in slots if self._running.pop(slot, None)]
        self._forget(slots)
        if running:
            self._rows.rest(placed(torch.tensor(running), self._weights.device))

    def _forget(self, slots: Sequence[int]) -> None:
        for slot in slots:
            self._lengths.pop(slot, None)
            self._last_codes.pop(slot, None)

    def _step_of(self, bucket: int, window: int) -> Callable[[], None]:
        rows, attend = self._rows.head(bucket), self._attend(window)
        layers: Layers = partial(transformer.decode, add_norm=self._add_norm)
        if self._triton:
            from . import narrow

            if bucket <= narrow.MOST_ROWS and narrow.fits(self._weights):
                layers = narrow.decode
        return lambda: self._step(rows, attend, layers)

    def _step(self, rows: Rows, attend: Attend, layers: Layers) -> None:
        """One id of every row: the hot path. Static shapes, and nothing waits for the host."""
        weights = self._weights
        x = weights.mel_embedding[rows.token] + weights.mel_positions[rows.step]
        latents = layers(weights, self._cache, x, rows.position, attend)
        logits = linear(latents, weights.mel_head_weight, weights.mel_head_bias)
        drawn = sample(logits, rows.seen, rows.sampling, rows.step, self._noise)
        rows.advance(drawn, latents, weights.stop_mel_id)

    def _report(self) -> _Report:
        ends = self._rows.ends()
        if ends.device.type == "cpu":
            return _Report(dict(self._running), ends, None)
        host = torch.empty(ends.shape, dtype=ends.dtype, pin_memory=True)
        host.copy_(ends, non_blocking=True)
        done = torch.cuda.Event()
        done.record()
        return _Report(dict(self._running), host, done)


def slot_bytes(weights: GptWeights) -> int:
    """Return the device memory that one slot of a `Decoder` takes, nearly."""
    cache = 2 * len(weights.layers) * weights.positions * weights.width * weights.dtype.itemsize
    latents = (weights.max_codes + 1) * weights.width * torch.float32.itemsize
    return cache + latents


def _fitting(sizes: Sequence[int], needed: int) -> int:
    """Return the smallest of `sizes`, which ascend, that is not less than `needed`, or the last."""
    return next((size for size in sizes if size >= needed), sizes[-1])
