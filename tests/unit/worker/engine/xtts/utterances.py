"""Latents without end, and how far two takes are apart."""

from __future__ import annotations

import torch
from torch import Tensor

#: Codes of utterances that fit no window, one window, a few windows, and many.
LENGTHS = (1, 2, 5, 8, 29, 60, 61, 230)


def latents_of(number: int, codes: int, width: int = 64) -> Tensor:
    """Endlessly many different latents, [codes, width]."""
    return torch.randn(codes, width, generator=torch.Generator().manual_seed(number))


def off_by(one: Tensor, other: Tensor) -> float:
    """The largest difference of two takes of the same length."""
    assert one.shape == other.shape
    return float((one - other).abs().max())
