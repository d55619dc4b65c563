"""From logits to the next id of every row, each with its own parameters, by tensors alone.

The order is the reference's: repetition penalty, temperature, top-k, top-p, softmax, draw.
A draw is a race: every id gets exponential noise, and the greatest probability per noise wins.
That is how `torch.multinomial` draws, so with its noise the ids are its ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from ..counter_hash import GOLDEN, hashed, uniform

#: (seeds [rows], steps [rows], number of ids) -> noise [rows, ids] float32, Exp(1), above zero.
Noise = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one row draws its ids. The defaults are the published model's.

    Raises `ValueError` that names the field if a value is out of range.
    """

    #: Above 0; 1 leaves the logits as they are.
    temperature: float = 0.75
    #: Ids that stay; 0 keeps all.
    top_k: int = 50
    #: Share of the probability that stays; 1 keeps all.
    top_p: float = 0.85
    #: Above 0; 1 is none.
    repetition_penalty: float = 5.0
    #: -2**63 .. 2**63 - 1; the same seed draws the same ids from the same logits.
    seed: int = 0
    #: Take the likeliest id after the penalty; then only the penalty counts.
    greedy: bool = False

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in ("temperature", "repetition_penalty"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, not {self.top_k}")
        if not 0 <= self.top_p <= 1:
            raise ValueError(f"top_p must be from 0 to 1, not {self.top_p}")
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed must fit into 64 bits, not {self.seed}")


@dataclass(frozen=True, slots=True)
class SamplingRows:
    """The `Sampling` of every row as tensors [rows]. `top_k` is from 1 to the number of ids."""

    temperature: Tensor  # float32
    top_k: Tensor  # int64
    tail: Tensor  # float32: 1 - top_p, the share that goes
    repetition_penalty: Tensor  # float32
    seed: Tensor  # int64
    greedy: Tensor  # bool

    @classmethod
    def of(cls, rows: list[Sampling], ids: int) -> Self:
        """Return rows on the host for logits over `ids` ids."""
        return cls(
            temperature=torch.tensor([row.temperature for row in rows], dtype=torch.float32),
            top_k=torch.tensor([min(row.top_k or ids, ids) for row in rows]),
            # Subtracted in double precision and rounded once, as in the reference.
            tail=torch.tensor([1 - row.top_p for row in rows], dtype=torch.float32),
            repetition_penalty=torch.tensor(
                [row.repetition_penalty for row in rows], dtype=torch.float32
            ),
            seed=torch.tensor([row.seed for row in rows]),
            greedy=torch.tensor([row.greedy for row in rows]),
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return these rows with `change` applied to every tensor."""
        return type(self)(*(change(getattr(self, field.name)) for field in fields(self)))

    def put(self, slots: Tensor, rows: SamplingRows) -> None:
        """Overwrite rows `slots` [n] with `rows` [n]."""
        for field in fields(self):
            getattr(self, field.name).index_copy_(0, slots, getattr(rows, field.name))


def counter_noise(seeds: Tensor, steps: Tensor, ids: int) -> Tensor:
    """Noise that depends on (seed, step, id) and nothing else: not on the row or its neighbours."""
    rows = hashed(hashed(seeds) + steps * GOLDEN)
    columns = torch.arange(1, ids + 1, device=seeds.device) * GOLDEN
    return -uniform(hashed(rows[:, None] + columns)).log()


def sample(
    logits: Tensor, seen: Tensor, sampling: SamplingRows, steps: Tensor, noise: Noise
) -> Tensor:
    """Return the next id of every row [rows], int64.

    `logits` [rows, ids] float32; `seen` [rows, ids] is true where the penalty falls; `steps`
    [rows] counts the ids that a row has drawn so far.
    """
    penalty = sampling.repetition_penalty[:, None]
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    scores = torch.where(seen, penalised, logits)
    chances = _kept(scores / sampling.temperature[:, None], sampling).softmax(-1)
    race = chances / noise(sampling.seed, steps, logits.shape[1])
    return torch.where(sampling.greedy[:, None], scores, race).argmax(-1)


def _kept(scores: Tensor, sampling: SamplingRows) -> Tensor:
    """Return `scores` with -inf for what top-k and top-p leave out; the best one always stays."""
    ascending, order = scores.sort(dim=-1, stable=True)
    # What ties with the k-th best stays, as in the reference.
    kth = ascending.gather(1, (scores.shape[1] - sampling.top_k)[:, None])
    ascending = ascending.masked_fill(ascending < kth, float("-inf"))
    dropped = ascending.softmax(-1).cumsum(-1) <= sampling.tail[:, None]
    dropped[:, -1] = False
    ascending = ascending.masked_fill(dropped, float("-inf"))
    return torch.empty_like(scores).scatter_(1, order, ascending)
