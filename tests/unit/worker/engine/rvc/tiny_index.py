"""Small indexes, laid out by hand as faiss writes them."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np

from worker.engine.rvc.index_file import IndexFile


def write_index(file: Path, width: int, vectors: int = 40, lists: int = 4, seed: int = 0) -> Path:
    """Write an index of random vectors, as many in each list as in any other."""
    draws = np.random.default_rng(seed)
    centroids = draws.standard_normal((lists, width), dtype=np.float32)
    each = vectors // lists
    spread = draws.standard_normal((lists * each, width), dtype=np.float32)
    starts = np.arange(0, lists * each + 1, each)
    rows = np.repeat(centroids, each, axis=0) + 0.3 * spread
    return write(
        IndexFile(centroids, rows.astype(np.float32), np.arange(lists * each), starts), file
    )


def write(index: IndexFile, file: Path) -> Path:
    """Write an index that is in memory."""
    lists, width = index.centroids.shape

    def header(total: int) -> bytes:
        return struct.pack("<iqqq?i", width, total, 1 << 20, 1 << 20, True, 1)

    parts = [
        b"IwFl", header(len(index.vectors)), struct.pack("<QQ", lists, 1),
        b"IxF2", header(lists), struct.pack("<Q", index.centroids.size), index.centroids.tobytes(),
        struct.pack("<bQ", 0, 0), b"ilar", struct.pack("<QQ", lists, 4 * width),
        b"full", struct.pack(f"<Q{lists}Q", lists, *np.diff(index.starts)),
    ]  # fmt: skip
    for first, last in pairwise(index.starts):
        parts += [
            index.vectors[first:last].astype("<f4").tobytes(),
            index.ids[first:last].astype("<i8").tobytes(),
        ]
    file.write_bytes(b"".join(parts))
    return file
