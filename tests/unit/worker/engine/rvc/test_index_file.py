"""An index is read as faiss writes it, or one error says why it is none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.conftest import needed
from worker.engine.errors import CheckpointError
from worker.engine.rvc.index_file import read_index

CENTROIDS = np.arange(6, dtype="<f4").reshape(2, 3)
VECTORS = np.arange(12, dtype="<f4").reshape(4, 3) + 100
IDS = np.array([2, 0, 1, 3], "<i8")


def header(total: int, metric: int = 1) -> bytes:
    return struct.pack("<iqqq?i", 3, total, 1 << 20, 1 << 20, True, metric)


def index_bytes(total: int = 4, metric: int = 1) -> bytes:
    """Four vectors in two lists, laid out by hand."""
    begin = b"IwFl" + header(total, metric) + struct.pack("<QQ", 2, 1)
    quantizer = b"IxF2" + header(2) + struct.pack("<Q", 6) + CENTROIDS.tobytes()
    lists = struct.pack("<bQ", 0, 0) + b"ilar" + struct.pack("<QQ", 2, 12)
    lists += b"full" + struct.pack("<QQQ", 2, 3, 1)
    parts = VECTORS[:3].tobytes() + IDS[:3].tobytes() + VECTORS[3:].tobytes() + IDS[3:].tobytes()
    return begin + quantizer + lists + parts


def test_lists_are_read(tmp_path):
    (tmp_path / "x.index").write_bytes(index_bytes())

    index = read_index(tmp_path / "x.index")

    assert np.array_equal(index.centroids, CENTROIDS)
    assert np.array_equal(index.vectors, VECTORS)
    assert index.ids.tolist() == [2, 0, 1, 3]
    assert index.starts.tolist() == [0, 3, 4]


def test_what_faiss_writes_is_read(tmp_path):
    faiss = needed("faiss")
    vectors = np.random.default_rng(0).standard_normal((600, 32)).astype("f4")
    theirs = faiss.index_factory(32, "IVF15,Flat")
    theirs.train(vectors)
    theirs.add(vectors)
    faiss.write_index(theirs, str(tmp_path / "x.index"))

    ours = read_index(tmp_path / "x.index")

    again = np.empty_like(vectors)
    again[ours.ids] = ours.vectors
    assert np.array_equal(again, vectors)
    assert np.array_equal(ours.centroids, theirs.quantizer.reconstruct_n(0, 15))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello, I am a text",
        index_bytes()[:-1],
        index_bytes(total=1 << 40),
        index_bytes(metric=0),
    ],
)
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x.index").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"x\.index"):
        read_index(tmp_path / "x.index")
