"""Retrieval: features are blended with those of the voice's own speech that are nearest to them.

`ivf1` looks only into the list whose centroid is nearest, as faiss does with one probe, and finds
the same neighbours; `exact` looks at all vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Final, Literal

import torch
from torch import Tensor

from .index_file import IndexFile

Search = Literal["ivf1", "exact"]

#: How many neighbours are blended.
NEIGHBOURS: Final = 8

#: How many of all vectors are looked at closely.
_FINALISTS: Final = 32

#: Numbers of candidates that are looked at together: 256 MB in float32.
_ROOM: Final = 1 << 26


class Index:
    """The vectors of one voice on a device, in the order of their lists. Calls share nothing."""

    def __init__(self, file: IndexFile, device: torch.device | str = "cpu") -> None:
        self.centroids = torch.from_numpy(file.centroids.copy()).to(device)  # [lists, dim]
        self.vectors = torch.from_numpy(file.vectors.copy()).to(device)  # [vectors, dim]
        starts = torch.from_numpy(file.starts.copy())
        self._begins, self._sizes = starts[:-1].to(device), starts.diff().to(device)
        self._longest = int(starts.diff().max())

    def moved(self, move: Callable[[Tensor], Tensor]) -> Index:
        """Return the same index with every tensor moved."""
        moved = copy(self)
        for name in ("centroids", "vectors", "_begins", "_sizes"):
            setattr(moved, name, move(getattr(self, name)))
        return moved

    @property
    def size_bytes(self) -> int:
        """Of all tensors."""
        tensors = (self.centroids, self.vectors, self._begins, self._sizes)
        return sum(tensor.nbytes for tensor in tensors)

    @torch.inference_mode()
    def blend(self, features: Tensor, rate: float | Tensor, search: Search = "ivf1") -> Tensor:
        """Return `rate` of what was found and the rest of `features`, both [rows, dim] float32.

        `rate` is a number or [rows]. Neighbours weigh one over the fourth power of their distance.
        A row whose list is empty stays as it is.
        """
        if not len(self.vectors):
            return features
        dim = features.shape[1]
        exact = max(_FINALISTS * dim, len(self.vectors))
        rows = max(1, _ROOM // (self._longest * dim if search == "ivf1" else exact))
        parts = [self._found(part, search) for part in features.split(rows)]
        found = torch.cat(parts)
        if isinstance(rate, Tensor):
            return torch.lerp(features, found, rate[:, None])
        return torch.lerp(features, found, rate)

    def _found(self, features: Tensor, search: Search) -> Tensor:
        if search == "exact":
            # Found by a matrix product, whose rounding may swap neighbours; judged again below.
            count = min(_FINALISTS, len(self.vectors))
            places = _distances(features, self.vectors).topk(count, largest=False).indices
            is_there = torch.ones_like(places, dtype=torch.bool)
        else:
            nearest = _distances(features, self.centroids).argmin(-1)
            steps = torch.arange(self._longest, device=features.device)
            is_there = steps < self._sizes[nearest, None]
            places = (self._begins[nearest, None] + steps).where(is_there, 0)
        candidates = self.vectors[places]  # [rows, candidates, dim]
        squares = (candidates - features[:, None]).square_().sum(-1)
        squares = squares.masked_fill(~is_there, float("inf"))
        best, order = squares.topk(min(NEIGHBOURS, squares.shape[1]), largest=False)
        # Weights relative to the nearest neighbour: an exact match gets all of it, not 0 / 0.
        best = best.clamp_min(torch.finfo(best.dtype).tiny)
        weights = (best[:, :1] / best).square().where(best.isfinite(), 0)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-30)
        chosen = candidates.gather(1, order[:, :, None].expand(-1, -1, features.shape[1]))
        found = (chosen * weights[:, :, None]).sum(1)
        return torch.where(is_there.any(-1, keepdim=True), found, features)


def _distances(features: Tensor, centroids: Tensor) -> Tensor:
    """Return squared distances less the features' own squares, which change no order."""
    return torch.addmm(centroids.square().sum(-1), features, centroids.T, alpha=-2)
