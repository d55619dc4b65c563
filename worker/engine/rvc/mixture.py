"""Features of a recording, mixed with what a voice's own recordings have in their place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..transfers import uploaded
from .clip import UNPROTECTED, Conversion
from .retrieval import Index

#: A frame of a lower pitch than this, in Hz, is unvoiced for `protect`.
_UNVOICED_HZ = 1.0


def retrieved(
    index: Index | None, features: Sequence[Tensor], conversions: Sequence[Conversion]
) -> list[Tensor]:
    """Return each [frames, width] with its `index_rate` of what the index has: one search for all.

    Without an index, or with a rate of 0, features stay as they are.
    """
    mixed = list(features)
    if index is None:
        return mixed
    alike: dict[str, list[int]] = defaultdict(list)
    for place, conversion in enumerate(conversions):
        if conversion.index_rate > 0:
            alike[conversion.search].append(place)
    for places in alike.values():
        rows = [features[place] for place in places]
        rates = [conversions[place].index_rate for place in places]
        each = np.repeat(np.array(rates, np.float32), [len(row) for row in rows])
        rate = uploaded(each, rows[0].device)
        blended = index.blend(torch.cat(rows), rate, conversions[places[0]].search)
        for place, part in zip(places, blended.split([len(row) for row in rows]), strict=True):
            mixed[place] = part
    return mixed


def protected(mixed: Tensor, plain: Tensor, f0_hz: Tensor | None, protect: float) -> Tensor:
    """Return features every 10 ms: mixed where there is pitch, less so where there is none.

    `mixed` and `plain` are [frames / 2, width], `f0_hz` [frames]. From a `protect` of 0.5 on, or
    without pitch, all are mixed.
    """
    twice = mixed.repeat_interleave(2, dim=0)
    if f0_hz is None:
        return twice
    twice = twice[: len(f0_hz)]
    if protect >= UNPROTECTED:
        return twice
    before = plain.repeat_interleave(2, dim=0)[: len(f0_hz)]
    # The peers let frames between 0 and 1 Hz be unvoiced too.
    share = torch.where(f0_hz < _UNVOICED_HZ, protect, 1.0)[:, None]
    return twice * share + before * (1 - share)
