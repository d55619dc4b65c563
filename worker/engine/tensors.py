"""The tensors of one checkpoint file, taken one by one: found, of the right shape, finite."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from .errors import CheckpointError


class TensorTable:
    """Named tensors on their way from a file to a device.

    Sizes are given as numbers, or None where the file is free to choose. Whatever is wrong
    raises `CheckpointError` with the file, the tensor, the wanted shape and the found one.
    """

    def __init__(self, file: Path, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        self._file = file
        self._tensors = tensors
        self._device = device
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *sizes: int | None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a tensor on the device, in `dtype`.

        On the CPU a tensor that has this dtype already stays a view of the file.
        """
        return self._found(name, sizes).to(self._device, dtype)

    def take_transposed(self, name: str, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Return the transpose, [columns, rows], of a matrix of [rows, columns]."""
        found = self._found(name, (rows, columns)).T
        placed = found.to(self._device, dtype)
        # What had to be copied anyway is laid out as it will be read.
        return placed if placed.data_ptr() == found.data_ptr() else placed.contiguous()

    def take_convolution(self, name: str, *sizes: int | None, norm_dim: int = 0) -> Tensor:
        """Return the weight of a convolution, weight norm folded in: direction times length.

        There is one length for each index of `norm_dim`.
        """
        if f"{name}.weight" in self:
            return self.take(f"{name}.weight", *sizes)
        lengths = tuple(size if dim == norm_dim else 1 for dim, size in enumerate(sizes))
        length = self._found(f"{name}.parametrizations.weight.original0", lengths).float()
        direction = self._found(f"{name}.parametrizations.weight.original1", sizes).float()
        others = [dim for dim in range(direction.dim()) if dim != norm_dim]
        norm: Tensor = torch.linalg.vector_norm(direction, dim=others, keepdim=True)
        if not norm.all():
            raise CheckpointError(self._file, f"{name} has a weight without a direction: all zero")
        return (direction * (length / norm)).to(self._device)

    def check_all_taken(self, unneeded: Collection[str] = ()) -> None:
        """Raise `CheckpointError` for a tensor that nobody took and that is not `unneeded`."""
        left = sorted(self._tensors.keys() - self._taken - set(unneeded))
        if left:
            raise CheckpointError(
                self._file, f"holds {left[0]}, which this network has no place for"
            )

    def _found(self, name: str, sizes: tuple[int | None, ...]) -> Tensor:
        wanted = "[" + ", ".join("any" if size is None else str(size) for size in sizes) + "]"
        tensor = self._tensors.get(name)
        if tensor is None:
            raise CheckpointError(self._file, f"{name} is missing, wanted {wanted}")
        if len(tensor.shape) != len(sizes) or any(
            size not in (None, found) for size, found in zip(sizes, tensor.shape, strict=True)
        ):
            raise CheckpointError(self._file, f"{name} is {list(tensor.shape)}, wanted {wanted}")
        if not _is_finite(tensor):
            raise CheckpointError(self._file, f"{name} holds numbers that are not finite")
        self._taken.add(name)
        return tensor


def _is_finite(tensor: Tensor) -> bool:
    # A sum is not finite if any addend is not, and thirty times faster than looking at each
    # of them. Finite numbers too large to be added are told apart the slow way.
    total = tensor.sum(dtype=torch.float32)
    return bool(total.isfinite()) or bool(tensor.isfinite().all())
