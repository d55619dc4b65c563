"""What the device knows of every row while it decodes: static tensors, one line per slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor

from .sampling import Sampling, SamplingRows
from .weights import GptWeights

#: Of the ids before the audio, the reference's penalty knows this one: it stands for the prompt.
_PROMPT_ID: Final = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """The state of slots. An idle row stands at position 0 and step `max_codes`.

    There it does no harm: it overwrites a prompt that nobody reads any more, and its latents
    and codes go to a last line that nobody reads at all.
    """

    token: Tensor  # [slots] int64: the input of the next step
    step: Tensor  # [slots] int64: ids drawn so far
    position: Tensor  # [slots] int64: where the next token goes in the cache
    limit: Tensor  # [slots] int64: the most ids to draw
    length: Tensor  # [slots] int64: ids drawn in all, 0 until the row has ended
    seen: Tensor  # [slots, Va] bool: ids that the penalty falls on
    codes: Tensor  # [slots, max_codes + 1] int64
    latents: Tensor  # [slots, max_codes + 1, D] float32
    sampling: SamplingRows

    @classmethod
    def idle(cls, weights: GptWeights, slots: int) -> Self:
        """Return `slots` idle rows on the device of `weights`."""
        codes, device = weights.max_codes, weights.device

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(slots, *shape, dtype=dtype, device=device)

        return cls(
            token=zeros(),
            step=zeros() + codes,
            position=zeros(),
            limit=zeros() + codes,
            length=zeros(),
            seen=zeros(weights.audio_ids, dtype=torch.bool),
            codes=zeros(codes + 1),
            latents=zeros(codes + 1, weights.width, dtype=torch.float32),
            sampling=SamplingRows.of([Sampling()] * slots, weights.audio_ids).map(
                lambda values: values.to(device)
            ),
        )

    def head(self, count: int) -> Self:
        """Return views of the first `count` rows."""
        return type(self)(
            token=self.token[:count],
            step=self.step[:count],
            position=self.position[:count],
            limit=self.limit[:count],
            length=self.length[:count],
            seen=self.seen[:count],
            codes=self.codes[:count],
            latents=self.latents[:count],
            sampling=self.sampling.map(lambda values: values[:count]),
        )

    def begin(
        self, slots: Tensor, positions: Tensor, limits: Tensor, sampling: SamplingRows, start: int
    ) -> None:
        """Make rows `slots` [n] ready for their first step, with the start id as its input."""
        self.token.index_fill_(0, slots, start)
        self.step.index_fill_(0, slots, 0)
        self.position.index_copy_(0, slots, positions)
        self.limit.index_copy_(0, slots, limits)
        self.length.index_fill_(0, slots, 0)
        fresh = torch.zeros(len(slots), self.seen.shape[1], dtype=torch.bool, device=slots.device)
        fresh[:, _PROMPT_ID] = True
        fresh[:, start] = True
        self.seen.index_copy_(0, slots, fresh)
        self.sampling.put(slots, sampling)

    def rest(self, slots: Tensor) -> None:
        """Make rows `slots` [n] idle."""
        self.step.index_fill_(0, slots, self.codes.shape[1] - 1)
        self.position.index_fill_(0, slots, 0)

    def advance(self, drawn: Tensor, latents: Tensor, stop: int) -> None:
        """Book one step of all rows: the ids `drawn` [rows] from the `latents` [rows, D].

        A row ends with the stop id or at its limit, and is idle from then on.
        """
        lines = torch.arange(len(drawn), device=drawn.device)
        max_codes = self.codes.shape[1] - 1
        self.latents[lines, self.step] = latents
        self.codes[lines, self.step] = drawn
        self.seen.scatter_(1, drawn[:, None], True)
        running = self.step < max_codes
        count = self.step + 1
        ends = (drawn == stop) | (count >= self.limit)
        goes_on = running & ~ends
        self.length.copy_(torch.where(running & ends, count, self.length))
        self.step.copy_(torch.where(goes_on, count, max_codes))
        self.position.copy_(torch.where(goes_on, self.position + 1, 0))
        self.token.copy_(drawn)

    def ends(self) -> Tensor:
        """Return [2, slots] int64: how long each row became, 0 while it runs, and its last id."""
        last = self.codes.gather(1, (self.length - 1).clamp_min(0)[:, None])  # [slots, 1]
        return torch.stack((self.length, last[:, 0]))
