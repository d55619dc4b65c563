# mypy: ignore-errors
# The body of the kernel is not Python: Triton reads its source and compiles it for the GPU.
"""A HiFi-GAN's convolution and all that lies between it and the next as one kernel for Hopper.

A convolution over time is a product of matrices whose rows are positions: one of each tap's
inputs with the tap's weights, all summed up. The tensor memory accelerator brings the inputs, and
zeros where there are no positions. What a position gets depends on its inputs alone, neither on
its place in a tile nor on the row, so it has the same bits in every batch.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from .hifigan_slopes import SLOPE


class _Tile(NamedTuple):
    """What a program makes, of how much at a time, and with what."""

    positions: int
    outputs: int
    inputs: int
    warps: int
    #: Inputs and weights that are on their way at the same time.
    stages: int

    def options(self) -> dict[str, Any]:
        """Return what the kernel is compiled for."""
        sizes = {"POSITIONS": self.positions, "OUTPUTS": self.outputs, "INPUTS": self.inputs}
        return {**sizes, "num_warps": self.warps, "num_stages": self.stages}


#: By channels: the fastest of those timed on one NVIDIA H200, kernels of 3, 7 and 11 together.
_TILES: Final = {
    32: _Tile(256, 32, 32, 8, 4),
    64: _Tile(128, 64, 64, 4, 3),
    128: _Tile(128, 128, 64, 4, 3),
    256: _Tile(128, 256, 64, 8, 4),
}

#: What undoes the activation of a residual.
_SLOPE: Final = tl.constexpr(SLOPE)

#: Where that was measured. Others have less shared memory, or none that is filled in this way.
_HOPPER: Final = (9, 0)


@triton.jit(do_not_specialize=["time", "dilation"])
def _convolve(
    x_tiles,
    weight_tiles,
    bias_ptr,
    residual_ptr,
    others_ptr,
    out_ptr,
    time,
    dilation,
    gain,
    slope,
    CHANNELS: tl.constexpr,  # noqa: N803
    TAPS: tl.constexpr,  # noqa: N803
    POSITIONS: tl.constexpr,  # noqa: N803
    OUTPUTS: tl.constexpr,  # noqa: N803
    INPUTS: tl.constexpr,  # noqa: N803
):
    """Some outputs of some positions of one row. Pointers that are None are compiled away."""
    row = tl.program_id(1)
    first_output = tl.program_id(0) % (CHANNELS // OUTPUTS) * OUTPUTS
    first_place = tl.program_id(0) // (CHANNELS // OUTPUTS) * POSITIONS
    y = tl.zeros([POSITIONS, OUTPUTS], tl.float32)
    for step in range(TAPS * CHANNELS // INPUTS):
        # The weights of an output lie one tap behind the other.
        place = first_place + (step * INPUTS // CHANNELS - TAPS // 2) * dilation
        x = x_tiles.load([row, place, step * INPUTS % CHANNELS])
        weight = weight_tiles.load([first_output, step * INPUTS])
        y = tl.dot(x.reshape(POSITIONS, INPUTS), weight.T, y, input_precision="ieee")
    outputs = first_output + tl.arange(0, OUTPUTS)[None, :]
    places = first_place + tl.arange(0, POSITIONS)[:, None]
    live = places < time
    cells = (row.to(tl.int64) * time + places) * CHANNELS + outputs
    y += tl.load(bias_ptr + outputs).to(tl.float32)
    if residual_ptr is not None:
        residual = tl.load(residual_ptr + cells, mask=live).to(tl.float32)
        y += tl.where(residual > 0, residual, residual / _SLOPE)
    if others_ptr is not None:
        y += tl.load(others_ptr + cells, mask=live).to(tl.float32)
    y *= tl.where(y > 0, gain, gain * slope)
    tl.store(out_ptr + cells, y.to(out_ptr.dtype.element_ty), mask=live)


def fits(x: Tensor) -> bool:
    """Tell whether the kernel is for such a signal: half precision, channels that were timed."""
    return (
        x.is_cuda
        and x.element_size() == 2
        and x.shape[1] in _TILES
        and torch.cuda.get_device_capability(x.device) == _HOPPER
    )


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    slope: float,
    dilation: int = 1,
    *,
    residual: Tensor | None = None,
    others: Tensor | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Return `leaky_relu((conv(x) + bias + r + others) * gain, slope)`, r what `residual` was.

    Signals are [rows, channels, 1, time], channels last, and `residual` was activated with
    `SLOPE`: what it was before follows from that. `weight` is [channels, channels, 1, taps],
    channels last, taps odd. A `slope` of 1 leaves the sum as it is.
    """
    rows, channels, _, time = x.shape
    taps = weight.shape[-1]
    tile = _TILES[channels]
    out = torch.empty_like(x)
    x_tiles = TensorDescriptor(
        x, [rows, time, channels], [time * channels, channels, 1], [1, tile.positions, tile.inputs]
    )
    weight_tiles = TensorDescriptor(
        weight, [channels, taps * channels], [taps * channels, 1], [tile.outputs, tile.inputs]
    )
    tiles = triton.cdiv(time, tile.positions) * (channels // tile.outputs)
    sums = (bias, residual, others, out)
    _convolve[(tiles, rows)](
        x_tiles, weight_tiles, *sums, time, dilation, gain, slope, channels, taps, **tile.options()
    )
    return out
