"""A convolution as a product is the convolution."""

from __future__ import annotations

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch.nn.functional import conv1d, pad

from worker.engine.rvc.convolution import convolve, convolve_as_product
from worker.engine.rvc.grouped_product import GroupedProduct
from worker.engine.rvc.weights import Affine


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_product_is_the_convolution(kernel, rows):
    draw = torch.Generator().manual_seed(kernel)
    weight = torch.randn(16, kernel, 8, generator=draw).transpose(1, 2)[:, :, None]
    by = Affine(weight, torch.randn(16, generator=draw))
    x = torch.randn(rows, 17, 8, generator=draw)

    found = convolve_as_product(x, by)

    assert found.shape == (rows, 17, 16)
    assert torch.allclose(found, convolve(x, by), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 7, 40])
@pytest.mark.parametrize("taps", [5, 8])
def test_a_grouped_product_is_the_grouped_convolution(frames, taps):
    draw = torch.Generator().manual_seed(taps)
    weight, bias = torch.randn(12, 4, taps, generator=draw), torch.randn(12, generator=draw)
    x = torch.randn(2, frames, 12, generator=draw)

    found = GroupedProduct(weight, bias)(x)

    padded = pad(x.mT, (taps // 2, taps - 1 - taps // 2))
    assert torch.allclose(found, conv1d(padded, weight, bias, groups=3).mT, atol=1e-5)
