"""Small indexes, laid out by hand as faiss writes them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_index(file: Path, width: int, vectors: int = 40, lists: int = 4, seed: int = 0) -> Path:
    """Write an index of random vectors, as many in each list as in any other."""
    draws = np.random.default_rng(seed)
    centroids = draws.standard_normal((lists, width), dtype=np.float32)
    each = vectors // lists

    def header(total: int) -> bytes:
        return struct.pack("<iqqq?i", width, total, 1 << 20, 1 << 20, True, 1)

    parts = [
        b"IwFl", header(vectors), struct.pack("<QQ", lists, 1),
        b"IxF2", header(lists), struct.pack("<Q", centroids.size), centroids.tobytes(),
        struct.pack("<bQ", 0, 0), b"ilar", struct.pack("<QQ", lists, 4 * width),
        b"full", struct.pack(f"<Q{lists}Q", lists, *([each] * lists)),
    ]  # fmt: skip
    for place, centroid in enumerate(centroids):
        rows = centroid + 0.3 * draws.standard_normal((each, width), dtype=np.float32)
        ids = np.arange(place * each, (place + 1) * each, dtype="<i8")
        parts += [rows.astype("<f4").tobytes(), ids.tobytes()]
    file.write_bytes(b"".join(parts))
    return file
