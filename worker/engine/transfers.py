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


def sent(samples: Tensor, device: torch.device) -> Tensor:
    """Return samples as float32 on a device."""
    if samples.device.type == "cpu" and device.type == "cuda":
        samples = samples.float().pin_memory()
    return samples.to(device, torch.float32, non_blocking=True)


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
