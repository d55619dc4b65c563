"""Convolutions over time of signals with the channels innermost: [rows, time, channels]."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import conv2d, linear, pad

from .weights import Affine


def convolve(x: Tensor, by: Affine, dilation: int = 1) -> Tensor:
    """Return a convolution with as many positions as `x` [rows, time, in] has."""
    padding = (by.weight.shape[-1] - 1) // 2 * dilation
    image = conv2d(_image(x), by.weight, by.bias, padding=(0, padding), dilation=(1, dilation))
    return _signal(image)


def convolve_any(x: Tensor, by: Affine) -> Tensor:
    """Return the same where shapes are many: on a GPU as a product, which needs no preparation."""
    return convolve_as_product(x, by) if x.is_cuda else convolve(x, by)


def convolve_as_product(x: Tensor, by: Affine) -> Tensor:
    """Return the same: each position's neighbours side by side, times all weights."""
    rows, time, channels = x.shape
    kernel = by.weight.shape[-1]
    padded = pad(x, (0, 0, kernel // 2, kernel // 2))
    # Neighbours lie side by side in memory as it is.
    shape, strides = (rows, time, kernel * channels), (padded.stride(0), channels, 1)
    near = padded.as_strided(shape, strides).contiguous()
    # [out, in, 1, kernel], channels last: the same memory.
    weight = by.weight[:, :, 0].transpose(1, 2).flatten(1)
    return linear(near, weight, by.bias)


def upsample(x: Tensor, by: Affine, rate: int) -> Tensor:
    """Return [rows, time * rate, out]; the weight is [rate out, in, 1, taps]."""
    image = conv2d(_image(x), by.weight, padding=(0, by.weight.shape[-1] // 2))
    return _signal(image).view(x.shape[0], x.shape[1] * rate, -1).add_(by.bias)


def _image(x: Tensor) -> Tensor:
    """Return [rows, channels, 1, time], the same memory: an image in `channels_last`."""
    return x.transpose(1, 2)[:, :, None]


def _signal(image: Tensor) -> Tensor:
    # What is laid out otherwise, as it may be where a size is one, is copied.
    return image[:, :, 0].transpose(1, 2).contiguous()
