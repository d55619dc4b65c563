"""Many tensors in one piece of memory: they move between host and device in a single copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, Generic, TypeVar, cast

import torch
from torch import Tensor

#: Every tensor begins at a multiple of this many elements, as fast kernels want it.
_ALIGNED: Final = 64

Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class Parcel(Generic[Tree]):
    """A tree of dataclasses and tuples whose tensors are views of `memory`."""

    tree: Tree
    memory: Tensor  # [elements]

    @property
    def size_bytes(self) -> int:
        """Of the memory."""
        return self.memory.nbytes

    def moved(self, move: Callable[[Tensor], Tensor]) -> Parcel[Tree]:
        """Return the same tree over `move(memory)`, which has as many elements."""
        return _over(self.tree, move(self.memory))


def parcel(tree: Tree, dtype: torch.dtype) -> Parcel[Tree]:
    """Pack copies of all tensors of a tree, in `dtype`, on the CPU. Strides stay as they are."""
    elements = sum(_room(tensor) for tensor in _tensors(tree))
    packed = _over(tree, torch.zeros(elements, dtype=dtype))
    for source, view in zip(_tensors(tree), _tensors(packed.tree), strict=True):
        view.copy_(source)
    return packed


def gathered(tree: Tree) -> Parcel[Tree] | None:
    """Return a tree whose tensors are those of a parcel as one again, None if they are not."""
    tensors = list(_tensors(tree))
    first = tensors[0]
    storage = first.untyped_storage()
    start = 0
    for tensor in tensors:
        lies_there = tensor.untyped_storage().data_ptr() == storage.data_ptr()
        if not lies_there or tensor.storage_offset() != start or tensor.dtype != first.dtype:
            return None
        start += _room(tensor)
    return Parcel(tree, first.as_strided((start,), (1,), 0))


def _over(tree: Tree, memory: Tensor) -> Parcel[Tree]:
    start = 0

    def view(tensor: Tensor) -> Tensor:
        nonlocal start
        placed = memory.as_strided(tensor.shape, _dense_strides(tensor), start)
        start += _room(tensor)
        return placed

    return Parcel(cast(Tree, _mapped(tree, view)), memory)


def _room(tensor: Tensor) -> int:
    return math.ceil(tensor.numel() / _ALIGNED) * _ALIGNED


def _dense_strides(tensor: Tensor) -> tuple[int, ...]:
    """Return the strides of a gapless copy that keeps the order of the dimensions."""
    return torch.empty_like(tensor, device="meta").stride()


def _mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, tuple):
        return tuple(_mapped(one, change) for one in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return type(tree)(**{f.name: _mapped(getattr(tree, f.name), change) for f in fields(tree)})
    return tree


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple):
        for one in tree:
            yield from _tensors(one)
    elif is_dataclass(tree):
        for field in fields(tree):
            yield from _tensors(getattr(tree, field.name))
