# mypy: ignore-errors
# The body below is not Python: Triton reads its source and compiles it for the GPU.
"""The Triton kernel of what lies between a HiFi-GAN's convolutions, imported only on a GPU.

Convolutions are cuDNN's. Left to itself each would be followed by up to five passes over
memory: bias, condition, residual, mean, activation. This is one pass for all of them, in float32
between one rounding of its input and one of each output.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl
from torch import Tensor

from .hifigan_slopes import SLOPE

#: Elements of one program: 8 for each thread of 4 warps, which is one 16-byte read in half.
_BLOCK: Final = 1024


@triton.jit
def _finish(
    x_ptr,
    bias_ptr,
    shift_ptr,
    residual_ptr,
    others_ptr,
    drive_ptr,
    drive_weight_ptr,
    count,
    row_size,
    gain,
    slope,
    residual_slope,
    CHANNELS: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
):
    """Pointers that are None are compiled away."""
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = places < count
    channels = places % CHANNELS
    x = tl.load(x_ptr + places, mask=live).to(tl.float32)
    x += tl.load(bias_ptr + channels).to(tl.float32)
    if shift_ptr is not None:
        shifts = (places // row_size) * CHANNELS + channels
        x += tl.load(shift_ptr + shifts, mask=live).to(tl.float32)
    if residual_ptr is not None:
        residual = tl.load(residual_ptr + places, mask=live).to(tl.float32)
        x += tl.where(residual > 0, residual, residual / residual_slope)
    if others_ptr is not None:
        x += tl.load(others_ptr + places, mask=live).to(tl.float32)
    if drive_ptr is not None:
        # One number a position, whose channels are neighbours.
        drive = tl.load(drive_ptr + places // CHANNELS, mask=live).to(tl.float32)
        x += drive * tl.load(drive_weight_ptr + channels).to(tl.float32)
    x *= gain
    x = tl.where(x > 0, x, x * slope)
    tl.store(x_ptr + places, x.to(x_ptr.dtype.element_ty), mask=live)


def finish(
    x: Tensor,
    bias: Tensor,
    slope: float,
    *,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
    others: Tensor | None = None,
    drive: tuple[Tensor, Tensor] | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Return `leaky_relu((x + bias + shift + r + others + drive) * gain, slope)` in place of `x`.

    Signals are [rows, channels, 1, time], channels last, and `residual` is r activated with
    `SLOPE`; `bias` is [channels] and `shift` [rows, channels], contiguous. `drive` is one number
    for each position, [rows, time], and what it counts in each channel, [channels].
    """
    rows, channels = x.shape[:2]
    count = x.numel()
    _finish[(triton.cdiv(count, _BLOCK),)](
        x,
        bias,
        shift,
        residual,
        others,
        *(drive or (None, None)),
        count,
        count // rows,
        gain,
        slope,
        SLOPE,
        CHANNELS=channels,
        BLOCK=_BLOCK,
        num_warps=4,
    )
    return x
