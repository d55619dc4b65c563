"""The `.index` files of voices: faiss' inverted lists of whole vectors, read with numpy alone."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError

#: faiss' name for squared Euclidean distance.
_L2: Final = 1

#: What stands between the number of vectors and what follows them.
_UNUSED_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class IndexFile:
    """Vectors in the order of their lists."""

    centroids: NDArray[np.float32]  # [lists, dim]
    vectors: NDArray[np.float32]  # [vectors, dim]
    ids: NDArray[np.int64]  # [vectors]: which one it was when they were added
    #: Where each list begins, and the end of the last one.
    starts: NDArray[np.int64]  # [lists + 1]


def read_index(file: Path) -> IndexFile:
    """Read an "IVF,Flat" index. Raises `CheckpointError`; no claimed size is believed."""
    try:
        return _Reader(file, file.read_bytes()).index()
    except (OSError, struct.error) as error:
        raise CheckpointError(file, f"cannot be read: {error}") from error


class _Reader:
    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        self._content = content
        self._at = 0

    def index(self) -> IndexFile:
        self._name("IwFl")
        dim, total = self._header()
        lists, _probes = self._take("<QQ")
        self._name("IxF2", "IxFl")
        quantizer_dim, quantizer_total = self._header()
        (floats,) = self._take("<Q")
        if (quantizer_dim, quantizer_total, floats) != (dim, lists, lists * dim):
            raise self._fault("its centroids are not one for each list")
        centroids = self._array(np.dtype("<f4"), lists, dim)
        self._direct_map()
        starts, vectors, ids = self._lists(lists, dim, total)
        if not (np.isfinite(vectors).all() and np.isfinite(centroids).all()):
            raise self._fault("holds numbers that are not finite")
        return IndexFile(centroids, vectors, ids, starts)

    def _header(self) -> tuple[int, int]:
        dim, total = self._take("<iq")
        self._at += _UNUSED_BYTES
        is_trained, metric = self._take("<?i")
        if not is_trained or metric != _L2 or dim < 1 or total < 0:
            raise self._fault("is not a trained index of Euclidean distance")
        return dim, total

    def _direct_map(self) -> None:
        kind, entries = self._take("<bQ")
        if kind == 1:
            self._array(np.dtype("<i8"), entries)
        elif kind or entries:
            raise self._fault("has a map that no voice's index has")

    def _lists(
        self, lists: int, dim: int, total: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        self._name("ilar")
        if self._take("<QQ") != (lists, 4 * dim):
            raise self._fault("its lists do not hold whole vectors")
        kind = self._name("full", "sprs")
        (count,) = self._take("<Q")
        sizes: NDArray[np.int64] = np.zeros(lists, np.int64)
        if kind == "full" and count == lists:
            sizes = self._array(np.dtype("<i8"), lists)
        elif kind == "sprs" and count % 2 == 0:
            pairs = self._array(np.dtype("<i8"), count // 2, 2)
            if ((pairs[:, 0] < 0) | (pairs[:, 0] >= lists)).any():
                raise self._fault("has lists beyond its last one")
            sizes[pairs[:, 0]] = pairs[:, 1]
        if (sizes < 0).any() or sizes.sum() != total:
            raise self._fault("its lists do not hold as many vectors as it says")
        parts = [
            (self._array(np.dtype("<f4"), int(size), dim), self._array(np.dtype("<i8"), int(size)))
            for size in sizes
        ]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        vectors, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return starts, vectors, ids

    def _name(self, *wanted: str) -> str:
        (found,) = self._take("<4s")
        if found.decode("latin-1") not in wanted:
            raise self._fault(f"has {found!r} where {' or '.join(wanted)} was wanted")
        return str(found.decode())

    def _take(self, form: str) -> tuple[Any, ...]:
        taken = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return taken

    def _array(self, dtype: np.dtype[Any], *sizes: int) -> NDArray[Any]:
        end = self._at + math.prod(sizes) * dtype.itemsize
        if end > len(self._content):
            raise self._fault("ends too early")
        taken = np.frombuffer(self._content[self._at : end], dtype).reshape(sizes)
        self._at = end
        return taken

    def _fault(self, what: str) -> CheckpointError:
        return CheckpointError(self._file, f"is no index of a voice: it {what}")
