"""What goes in front of a row's audio: a voice and a text, run through the GPT at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import torch
from torch import Tensor

from . import transformer
from .graphs import Graphs
from .sampling import Sampling
from .weights import CONDITIONING, GptWeights

#: Prompts that run together. On a GPU always four, some of them empty if need be, as bits may
#: depend on the number; a CPU gains nothing from more than one.
_TOGETHER: Final = {"cuda": 4, "cpu": 1}

#: Text positions that prompts are padded to; the last is the length of the table.
_WIDTHS: Final = (32, 64, 96, 128, 160, 192, 256, 320)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """One row to decode."""

    slot: int
    #: Without `[START]` and `[STOP]`.
    text_ids: Sequence[int]
    #: The voice [32, D] float32.
    conditioning: Tensor
    sampling: Sampling = field(default_factory=Sampling)
    #: The most ids to draw; None is as many as the model can.
    max_codes: int | None = None

    @property
    def text_width(self) -> int:
        """Positions of the text, with `[START]` and `[STOP]`."""
        return len(self.text_ids) + 2

    @property
    def length(self) -> int:
        """Positions before the first of the audio."""
        return CONDITIONING + self.text_width

    def check(self, weights: GptWeights) -> None:
        """Raise `ValueError` for what would index past a table: on a GPU that ends the process."""
        if len(self.text_ids) > weights.max_text_ids:
            raise ValueError(
                f"a text of {len(self.text_ids)} ids: {weights.max_text_ids} is the most"
            )
        if wrong := [one for one in self.text_ids if not 0 <= one < weights.text_ids]:
            raise ValueError(f"text id {wrong[0]} is not from 0 to {weights.text_ids - 1}")
        if self.conditioning.shape != (CONDITIONING, weights.width):
            raise ValueError(
                f"the voice has latents of shape {tuple(self.conditioning.shape)}, "
                f"the model wants {(CONDITIONING, weights.width)}"
            )
        if self.max_codes is not None and not 1 <= self.max_codes <= weights.max_codes:
            raise ValueError(f"max_codes must be 1 to {weights.max_codes}, not {self.max_codes}")


class Prompts:
    """Runs prompts in fixed shapes, chosen by each prompt's own length alone."""

    def __init__(self, weights: GptWeights, cache: Tensor, recorder: Graphs) -> None:
        """Write into `cache`, whose last slot is for padding. Records a graph per width."""
        self._weights = weights
        self._cache = cache
        device, table = weights.device, len(weights.text_positions)
        self._together = _TOGETHER[device.type]
        self._padding_slot = cache.shape[2] - 1
        self._widths = (*(width for width in _WIDTHS if width < table), table)
        self._ids = torch.zeros(self._together, table, dtype=torch.int64, device=device)
        self._slots = torch.full((self._together,), self._padding_slot, device=device)
        self._voices = torch.zeros(self._together, CONDITIONING, weights.width, device=device)
        self._runs = {
            width: recorder.record(self._run_of(width)) for width in reversed(self._widths)
        }

    def fill(self, prompts: Sequence[Prompt]) -> None:
        """Write the keys and values of checked prompts into the cache, each in its slot."""
        ordered = sorted(prompts, key=self._width_of)
        for width, group in groupby(ordered, key=self._width_of):
            alike = list(group)
            for first in range(0, len(alike), self._together):
                self._fill_alike(alike[first : first + self._together], width)

    def _fill_alike(self, prompts: Sequence[Prompt], width: int) -> None:
        weights = self._weights
        ids = torch.zeros(self._together, width, dtype=torch.int64)
        slots = torch.full((self._together,), self._padding_slot)
        for line, prompt in enumerate(prompts):
            framed = [weights.start_text_id, *prompt.text_ids, weights.stop_text_id]
            ids[line, : len(framed)] = torch.tensor(framed)
            slots[line] = prompt.slot
            self._voices[line].copy_(prompt.conditioning, non_blocking=True)
        self._ids[:, :width].copy_(placed(ids, weights.device))
        self._slots.copy_(placed(slots, weights.device))
        self._runs[width]()

    def _width_of(self, prompt: Prompt) -> int:
        return next(width for width in self._widths if width >= prompt.text_width)

    def _run_of(self, width: int) -> Callable[[], None]:
        return lambda: self._run(width)

    def _run(self, width: int) -> None:
        weights = self._weights
        text = weights.text_embedding[self._ids[:, :width]] + weights.text_positions[:width]
        x = torch.cat([self._voices, text], dim=1)
        transformer.prefill(weights, self._cache, x, self._slots)


def placed(values: Tensor, device: torch.device) -> Tensor:
    """Return `values` of the host on `device`, without waiting for what the device is doing."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)
