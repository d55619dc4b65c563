"""Indexes made and proven with faiss, which nothing else here needs.

What is built is what RVC's own training builds of its features: "IVF,Flat" with as many lists, of
which one is looked at. What is proven is that faiss finds in a file what `Index` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import CheckpointError, LibraryError
from .index_file import IndexFile, read_index
from .retrieval import NEIGHBOURS, Index
from .voice_config import FEATURES

#: Lists of an index, as upstream has them: 16 for the root of the vectors, but 39 vectors a list.
_LISTS_PER_ROOT: Final = 16
_LEAST_PER_LIST: Final = 39

#: Queries that both must answer alike, and how far their answers may be apart.
_QUERIES: Final = 256
_EQUAL: Final = 1e-3

_FEATURES_SUFFIX: Final = ".npy"


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What an index is."""

    vectors: int
    width: int
    lists: int


def build_index(sources: Sequence[Path], file: Path) -> IndexFacts:
    """Write an index of features: `.npy` files of [frames, 256 or 768], or folders of them.

    Raises `LibraryError` without faiss or if the file cannot be written, `CheckpointError` for
    features that cannot be used.
    """
    faiss = _faiss()
    features = _features(sources)
    count, width = features.shape
    lists = max(1, min(int(_LISTS_PER_ROOT * np.sqrt(count)), count // _LEAST_PER_LIST))
    built = faiss.index_factory(width, f"IVF{lists},Flat")
    built.train(features)
    built.add(features)
    try:
        file.write_bytes(faiss.serialize_index(built).tobytes())
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error.strerror}") from error
    return verify_index(file)


def verify_index(file: Path) -> IndexFacts:
    """Read an index twice, and compare what is found in it.

    Raises `LibraryError` without faiss, `CheckpointError` for an index that cannot be used.
    """
    faiss = _faiss()
    ours = read_index(file)
    try:
        content = np.frombuffer(file.read_bytes(), np.uint8)
        theirs = faiss.deserialize_index(content)
        theirs.nprobe = 1
    # faiss raises whatever it stumbles over.
    except Exception as error:
        raise CheckpointError(file, f"faiss cannot read it: {error}") from error
    if theirs.ntotal != len(ours.vectors):
        raise CheckpointError(file, f"faiss finds {theirs.ntotal} vectors, not {len(ours.vectors)}")
    if not _agree(ours, theirs):
        raise CheckpointError(file, "faiss finds other neighbours in it")
    return IndexFacts(len(ours.vectors), ours.vectors.shape[1], len(ours.centroids))


def _agree(ours: IndexFile, theirs: Any) -> bool:
    """Tell whether both blend a draw of vectors, moved a little, into the same features."""
    draws = np.random.default_rng(0)
    count = len(ours.vectors)
    places = draws.choice(count, min(count, _QUERIES), replace=False)
    queries = ours.vectors[places]
    queries = queries + 0.1 * queries.std() * draws.standard_normal(queries.shape)
    queries = queries.astype(np.float32)
    squares, ids = theirs.search(queries, NEIGHBOURS)
    by_id = {int(name): place for place, name in enumerate(ours.ids)}
    rows = np.array([[by_id.get(int(one), 0) for one in row] for row in ids])
    weights = np.where(ids < 0, 0.0, 1 / np.maximum(squares, 1e-12).astype(np.float64) ** 2)
    weights /= weights.sum(1, keepdims=True)
    expected = (ours.vectors[rows] * weights[:, :, None]).sum(1)
    found = Index(ours).blend(torch.from_numpy(queries), 1.0).numpy()
    return bool(np.allclose(found, expected, atol=_EQUAL * max(1.0, np.abs(expected).max())))


def _features(sources: Sequence[Path]) -> NDArray[np.float32]:
    found = [_read(file) for file in _files(sources)]
    if not found:
        raise LibraryError(f"no {_FEATURES_SUFFIX} file with features was named")
    widths = {part.shape[1] for part in found}
    if len(widths) > 1:
        raise LibraryError(f"features of {sorted(widths)} cannot share an index")
    return np.concatenate(found)


def _files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from sorted(source.glob(f"*{_FEATURES_SUFFIX}"))
        else:
            yield source


def _read(file: Path) -> NDArray[np.float32]:
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(file, f"cannot be read: {error}") from error
    wanted = " or ".join(map(str, FEATURES.values()))
    if found.ndim != 2 or found.shape[1] not in FEATURES.values():
        raise CheckpointError(file, f"holds {list(found.shape)}, wanted [frames, {wanted}]")
    if not np.isfinite(found).all():
        raise CheckpointError(file, "holds numbers that are not finite")
    return np.ascontiguousarray(found, np.float32)


def _faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise LibraryError(
            "indexes are built and proven with faiss, which is not here: pip install -e '.[index]'"
        ) from error
