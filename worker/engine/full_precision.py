"""Float32 that is float32: what torch would otherwise round on a GPU."""

from __future__ import annotations

import torch


def keep_float32_exact() -> None:
    """Have the GPU compute float32 in 24 bits, in this whole process.

    Unasked, torch lets cuDNN round what goes into convolutions and recurrences to ten bits (TF32).
    How they are computed depends on the size of the batch, so that a row would differ in the third
    digit from the same row alone. Half precision is not touched by it.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
