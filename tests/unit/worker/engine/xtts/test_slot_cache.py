"""The memory of rows is zero, and on a processor not there before it is used."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.random_gpt import random_gpt  # noqa: E402
from worker.engine.xtts.cache import slot_cache  # noqa: E402


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_it_is_zero_in_the_dtype_of_the_weights(dtype):
    weights = random_gpt(dtype=dtype)

    cache = slot_cache(weights, 3)

    assert cache.dtype == dtype
    assert cache.shape == (2, 2, 3, 4, weights.positions, 16)
    assert cache.is_contiguous()
    assert cache.data_ptr() % 64 == 0
    assert not cache.any()


def test_slots_that_nobody_uses_take_no_memory():
    weights = random_gpt()
    before_bytes = resident_bytes()

    cache = slot_cache(weights, 2000)
    cache[:, :, 0] = 1.0

    assert cache.nbytes > 100 << 20
    assert resident_bytes() - before_bytes < cache.nbytes / 10
