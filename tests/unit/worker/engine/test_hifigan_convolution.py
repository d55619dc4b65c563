"""A convolution with all that follows it gives what torch gives in double precision."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from tests.unit.worker.engine.interpreted import run_interpreted

SIGNALS = """
import sys
import torch
from torch.nn.functional import conv2d, leaky_relu
from worker.engine import hifigan_fused
from worker.engine.hifigan_convolution import convolve

channels, taps, dilation, time = map(int, sys.argv[1:])
generator = torch.Generator().manual_seed(0)

def drawn(*shape):
    whole = torch.randn(shape, generator=generator)
    return whole.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else whole

def apart(one, other):
    assert one.shape == other.shape and one.std() > 0.1
    return float((one - other).abs().max())

x, residual, others = (drawn(2, channels, 1, time) for _ in range(3))
weight, bias = drawn(channels, channels, 1, taps) / (channels * taps) ** 0.5, drawn(channels)
"""

ONE = (
    SIGNALS
    + """
def plain(x, slope, dilation, more, gain):
    padding = (0, taps // 2 * dilation)
    x = conv2d(x.double(), weight.double(), bias.double(), padding=padding, dilation=(1, dilation))
    return leaky_relu((x + more) * gain, slope).float()

before = torch.where(residual > 0, residual, residual / 0.1).double() + others.double()
alone = convolve(x, weight, bias, 0.1, dilation)
assert apart(alone, plain(x, 0.1, dilation, 0.0, 1.0)) < 1e-5
summed = convolve(x, weight, bias, 1.0, dilation, residual=residual, others=others, gain=0.25)
assert apart(summed, plain(x, 1.0, dilation, before, 0.25)) < 1e-5
only = convolve(x[1:], weight, bias, 0.1, dilation)
assert torch.equal(only[0], alone[1])
"""
)

BLOCKS = (
    SIGNALS
    + """
from types import SimpleNamespace as Convolution
def pair():
    return tuple(Convolution(weight=drawn(*weight.shape) / 9, bias=drawn(channels)) for _ in "12")

blocks = [[pair(), pair()] for _ in range(3)]
ways = []
for fits in (False, True):
    hifigan_fused.fits = lambda x, fits=fits: fits
    ways.append(hifigan_fused.mean_of_blocks(x.clone(), blocks, [(1, dilation)] * 3, 0.01))
assert apart(*ways) < 1e-5 * ways[0].std()
"""
)


@pytest.mark.parametrize(
    ("channels", "taps", "dilation", "time"),
    [(32, 3, 1, 128), (32, 11, 5, 150), (64, 7, 3, 129), (128, 3, 5, 40)],
)
def test_it_is_torchs_with_the_sums_and_the_activation_behind_it(channels, taps, dilation, time):
    run_interpreted(ONE, str(channels), str(taps), str(dilation), str(time))


def test_blocks_of_such_convolutions_are_those_of_the_librarys():
    run_interpreted(BLOCKS, "32", "7", "3", "140")
