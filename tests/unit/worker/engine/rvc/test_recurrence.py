"""A recurrence over rows of any lengths is torch's over each row alone."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from tests.unit.worker.engine.interpreted import run_interpreted
from worker.engine.rvc import recurrence
from worker.engine.rvc.recurrence import KernelLayer, PaddedLayer, Recurrence

#: More than a program of the kernel takes at once.
LENGTHS = [5, 1, 9, 4, 7, 2, 8, 3, 6, 9, 1, 5, 2, 7, 4, 8, 12, 3]

INTERPRETED = """
import torch
from tests.unit.worker.engine.rvc import test_recurrence
from worker.engine.rvc import recurrence_kernel
recurrence_kernel.rows_at_once = lambda hidden, device: 16
test_recurrence.check_the_kernel()
"""


def gru_of(hidden, layers=1):
    torch.manual_seed(1)
    return torch.nn.GRU(24, hidden, layers, batch_first=True, bidirectional=True)


@torch.inference_mode()
def alone(gru, x):
    exact = gru.double()
    rows = x.double().split(LENGTHS)
    return torch.cat([exact(row[None])[0][0] for row in rows])


@torch.inference_mode()
def check_the_kernel(hidden=32, device="cpu", dtype=torch.float32, limit=1e-5):
    gru = gru_of(hidden).to(device, dtype)
    x = torch.randn(sum(LENGTHS), 24).to(device, dtype)
    layer = KernelLayer(gru, 0)
    found = layer(x, LENGTHS)
    last = layer(x[-LENGTHS[-1] :], LENGTHS[-1:])
    assert (found - alone(gru, x)).abs().max() < limit
    assert found.std() > 0.1
    assert torch.equal(found[-LENGTHS[-1] :], last)


def test_each_row_is_as_if_it_were_alone(monkeypatch):
    monkeypatch.setattr(recurrence, "_ROWS", 7)
    gru = gru_of(20, layers=2)
    x = torch.randn(sum(LENGTHS), 24)
    found = Recurrence(gru)(x, LENGTHS)
    assert (found - alone(gru, x)).abs().max() < 1e-5


def test_a_kernel_makes_each_row_as_if_it_were_alone():
    run_interpreted(INTERPRETED)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU on this machine")
def test_programs_that_share_a_row_wait_for_one_another():
    assert KernelLayer.fits(gru_of(256).to("cuda", torch.float16))
    check_the_kernel(256, "cuda", torch.float16, 2e-3)


def test_a_processor_has_torchs_layers():
    assert not KernelLayer.fits(gru_of(256).half())
    assert isinstance(Recurrence(gru_of(32))._layers[0], PaddedLayer)
