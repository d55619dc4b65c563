"""Whether a device runs kernels that are written in Triton."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import torch

#: The lowest compute capability that Triton's compiler supports in full.
TRITON_CAPABILITY: Final = (8, 0)


def has_triton(device: torch.device) -> bool:
    """Tell whether our kernels run on `device`."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < TRITON_CAPABILITY:
        return False
    return find_spec("triton") is not None
