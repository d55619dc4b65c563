"""How much memory loaded voices may take, where nobody has said it."""

from __future__ import annotations

import os
from typing import Final

import torch

#: Share of the free memory, and its bounds.
VOICES_SHARE: Final = 0.2
LEAST_BYTES: Final = 256 << 20
MOST_BYTES: Final = 16_000 << 20


def room_for_voices(device: torch.device) -> int:
    """Return the bytes that voices may take of what is free on a device now."""
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
    else:
        free_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(int(free_bytes * VOICES_SHARE), LEAST_BYTES), MOST_BYTES)
