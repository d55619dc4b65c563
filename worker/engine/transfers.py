"""Between host and device, without the host waiting for what the device has to do before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: Numbers, or rows of them.
Numbers = Sequence[int] | npt.NDArray[np.int64] | npt.NDArray[np.floating[Any]]


def uploaded(numbers: Numbers, device: torch.device) -> Tensor:
    """Return numbers as a tensor on a device, as it will have them when it comes to them.

    A plain `torch.tensor(numbers, device=device)` waits until the device has done all before it.
    """
    if device.type != "cuda":
        return torch.as_tensor(numbers, device=device)
    return torch.as_tensor(numbers).pin_memory().to(device, non_blocking=True)


def sent_apart(parts: Sequence[Tensor], places: Sequence[int], device: torch.device) -> Tensor:
    """Return parts [n] as one float32 line on a device; each begins at its place, behind zeros."""
    size = places[-1] + len(parts[-1])
    line = torch.empty(size, pin_memory=device.type == "cuda")
    end = 0
    for part, place in zip(parts, places, strict=True):
        line[end:place] = 0
        end = place + len(part)
        line[place:end] = part
    return line.to(device, non_blocking=True)


class Arriving:
    """Float32 copies of tensors, on their way to the host behind all that the device has to do."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        """Begin to copy tensors [n] of one device."""
        self._sizes = [len(part) for part in parts]
        whole = torch.cat([part.float() for part in parts]) if parts else torch.empty(0)
        self._done: torch.cuda.Event | None = None
        self._host = whole
        if whole.is_cuda:
            self._host = torch.empty(whole.shape, dtype=whole.dtype, pin_memory=True)
            self._host.copy_(whole, non_blocking=True)
            self._done = torch.cuda.Event()
            self._done.record()

    def is_here(self) -> bool:
        """Tell whether `parts` would not wait."""
        return self._done is None or self._done.query()

    def parts(self) -> list[Tensor]:
        """Return the copies, in memory of their own."""
        if self._done is None:
            return list(self._host.split(self._sizes))
        self._done.synchronize()
        # What is pinned is used again.
        return [part.clone() for part in self._host.split(self._sizes)]
