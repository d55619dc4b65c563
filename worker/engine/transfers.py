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


def received(parts: Sequence[Tensor]) -> list[Tensor]:
    """Return float32 copies of tensors on the host; the device is waited for once."""
    if not parts or parts[0].device.type != "cuda":
        return [part.float() for part in parts]
    whole = torch.cat([part.float() for part in parts])
    host = torch.empty(whole.shape, dtype=whole.dtype, pin_memory=True)
    host.copy_(whole, non_blocking=True)
    torch.cuda.current_stream(whole.device).synchronize()
    # Memory of one's own: what is pinned is used again.
    return [part.clone() for part in host.split([len(part) for part in parts])]
