"""Retrieval finds and blends what faiss finds with one probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from tests.conftest import needed
from worker.engine.rvc.index_file import IndexFile, read_index
from worker.engine.rvc.retrieval import Index


def random_file(lists: int = 5, dim: int = 16, vectors: int = 100) -> IndexFile:
    generator = np.random.default_rng(1)
    centroids = generator.standard_normal((lists, dim)).astype("f4")
    rows = generator.standard_normal((vectors, dim)).astype("f4")
    nearest = ((rows[:, None] - centroids) ** 2).sum(-1).argmin(1)
    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], np.arange(lists + 1)).astype(np.int64)
    return IndexFile(centroids, rows[order], order.astype(np.int64), starts)


def test_a_blend_is_that_of_faiss(tmp_path: Path):
    faiss = needed("faiss")
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((600, 32)).astype("f4")
    theirs = faiss.index_factory(32, "IVF60,Flat")
    theirs.train(vectors)
    theirs.add(vectors)
    faiss.write_index(theirs, str(tmp_path / "x.index"))
    features = generator.standard_normal((200, 32)).astype("f4")
    score, ids = theirs.search(features, k=8)
    assert (ids < 0).any(), "a list must be shorter than what is asked for"
    weight = np.square(1 / score)
    weight /= weight.sum(axis=1, keepdims=True)
    wanted = 0.75 * np.sum(vectors[ids] * weight[:, :, None], axis=1) + 0.25 * features

    found = Index(read_index(tmp_path / "x.index")).blend(torch.from_numpy(features), 0.75)

    assert np.abs(found.numpy() - wanted).max() < 1e-5


@pytest.mark.parametrize("search", ["ivf1", "exact"])
def test_an_exact_match_is_itself_and_rates_are_per_row(search):
    index = Index(random_file())
    features = index.vectors[:3].clone()

    found = index.blend(features, torch.tensor([1.0, 0.5, 0.0]), search)

    torch.testing.assert_close(found, features)


def test_exact_looks_beyond_the_nearest_list():
    index = Index(random_file())
    features = torch.randn(40, 16, generator=torch.Generator().manual_seed(2))
    squares = torch.cdist(features, index.vectors).square()
    best, order = squares.topk(8, largest=False)
    weights = best.reciprocal().square()
    weights /= weights.sum(-1, keepdim=True)
    wanted = (index.vectors[order] * weights[:, :, None]).sum(1)

    found = index.blend(features, 1.0, "exact")

    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    assert not torch.allclose(found, index.blend(features, 1.0), atol=1e-3)
