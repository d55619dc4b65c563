"""Features of a recording, mixed with what a voice's own recordings have in their place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

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


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Features of a stretch every 20 ms, and what decides how much of the index it keeps."""

    mixed: Tensor  # [frames / 2, width]
    plain: Tensor  # the same without the index
    #: Of 10 ms, as many as are wanted.
    frames: int
    f0_hz: Tensor | None  # [frames]
    protect: float

    @property
    def count(self) -> int:
        """Frames of 10 ms that there are."""
        return min(self.frames, 2 * len(self.mixed))


def protected(rows: Sequence[Retrieved]) -> list[Tensor]:
    """Return features every 10 ms of each, [frames, width] of one width.

    They are mixed where there is pitch, less so where there is none. From a `protect` of 0.5 on,
    or without pitch, all are mixed.
    """
    counts = [row.count for row in rows]
    begins = accumulate((len(row.mixed) for row in rows), initial=0)
    twice = [begin + np.arange(count) // 2 for begin, count in zip(begins, counts, strict=False)]
    places = uploaded(np.concatenate(twice), rows[0].mixed.device)
    mixed = torch.cat([row.mixed for row in rows])[places]
    shares = [1.0 if _is_free(row) else row.protect for row in rows]
    if min(shares) < 1.0:
        kept = uploaded(np.repeat(np.array(shares, np.float32), counts), mixed.device)
        # The peers let frames between 0 and 1 Hz be unvoiced too. What has no pitch keeps all.
        pitches = [kept[: row.count] if row.f0_hz is None else row.f0_hz for row in rows]
        f0_hz = torch.cat([f0_hz[: row.count] for row, f0_hz in zip(rows, pitches, strict=True)])
        share = torch.where(f0_hz < _UNVOICED_HZ, kept, 1.0)[:, None]
        plain = torch.cat([row.plain for row in rows])[places]
        mixed = mixed * share + plain * (1 - share)
    return list(mixed.split(counts))


def _is_free(row: Retrieved) -> bool:
    return row.f0_hz is None or row.protect >= UNPROTECTED
