"""Whoever converts or speaks in float32 has it unrounded, also on a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from worker.engine.full_precision import keep_float32_exact
from worker.engine.rvc.content import Content
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.stages import Stages
from worker.engine.rvc.synthesizer import Synthesizer


@pytest.fixture(autouse=True)
def _rounding() -> Iterator[None]:
    """Torch as it comes: it rounds."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = True
    yield
    for switch, value in zip(switches, before, strict=True):
        switch.allow_tf32 = value


def is_exact() -> bool:
    return not (torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)


def test_float32_is_kept_for_products_and_convolutions():
    assert not is_exact()

    keep_float32_exact()

    assert is_exact()


def test_a_conversion_keeps_it():
    Stages(Content.__new__(Content), Pitch.__new__(Pitch), Synthesizer())

    assert is_exact()
