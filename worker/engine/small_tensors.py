"""Numbers from the host to a device, without the host waiting for what the device has to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: Numbers, or rows of them.
Numbers = Sequence[int] | Sequence[float] | npt.NDArray[np.int64] | npt.NDArray[np.float32]


def uploaded(numbers: Numbers, device: torch.device) -> Tensor:
    """Return numbers as a tensor on a device, as it will have them when it comes to them.

    A plain `torch.tensor(numbers, device=device)` waits until the device has done all before it.
    """
    if device.type != "cuda":
        return torch.as_tensor(numbers, device=device)
    return torch.as_tensor(numbers).pin_memory().to(device, non_blocking=True)
