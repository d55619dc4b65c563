"""A book as it goes into its files: louder or softer, its peaks held back, and measured again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..engine.request import Samples
from .levelling import Measured, Target, factor
from .limiter import Limiter
from .loudness import LoudnessMeter


class Leveller:
    """One gain for all of a book."""

    def __init__(self, target: Target | None, gain_db: float, rate_hz: int) -> None:
        """Without a target nothing is changed."""
        self.gain_db = gain_db
        self._limiter = None if target is None else Limiter(factor(target.ceiling_db), rate_hz)
        self._meter = LoudnessMeter(rate_hz)

    @property
    def limited(self) -> int:
        """Samples that were held back."""
        return self._limiter.limited if self._limiter else 0

    def level(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield all samples of a book, levelled; as many as there are in `blocks`."""
        for samples in self._changed(blocks):
            self._meter.hear(samples)
            yield samples

    def measured(self) -> Measured:
        """Return how loud it has become. Nothing may follow."""
        return self._meter.measured()

    def _changed(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        if self._limiter is None:
            yield from blocks
            return
        gain = np.float32(factor(self.gain_db))
        for samples in blocks:
            yield self._limiter.limit(samples * gain)
        yield self._limiter.flush()
