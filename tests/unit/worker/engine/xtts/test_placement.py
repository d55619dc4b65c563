"""Where the model runs: what is left open is settled by the device that there is."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.random_gpt import random_gpt  # noqa: E402
from worker.engine.errors import EngineError, EngineOutOfMemory  # noqa: E402
from worker.engine.xtts.decoder import slot_bytes  # noqa: E402
from worker.engine.xtts.placement import CPU_SLOTS, CUDA_SHARE, CUDA_SLOTS, Placement  # noqa: E402


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that there is a GPU; `gpu(capability=(7, 0), free_bytes=0)`."""

    def pretend(capability: tuple[int, int] = (9, 0), free_bytes: int = 0) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_bytes, free_bytes))

    return pretend


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that there is none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_processor_computes_exactly(no_gpu):
    place = Placement.choose("auto", "auto")

    assert (place.name, place.dtype, place.vocoder_dtype) == ("cpu", torch.float32, torch.float32)
    assert place.slots(random_gpt()) == CPU_SLOTS


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16),
     ((9, 0), torch.bfloat16)],
)  # fmt: skip
def test_a_gpu_computes_in_the_half_precision_that_it_has(gpu, capability, dtype):
    gpu(capability)

    place = Placement.choose("auto", "auto")

    assert (place.name, place.dtype, place.vocoder_dtype) == ("a GPU", dtype, torch.float16)


def test_what_is_asked_for_is_taken(gpu):
    gpu()

    assert not Placement.choose("cpu", "auto").is_cuda
    assert Placement.choose("cuda", "fp32").dtype == torch.float32
    assert Placement.choose("cuda", "fp32").vocoder_dtype == torch.float32


def test_a_gpu_that_is_not_there_is_told(no_gpu):
    with pytest.raises(EngineError, match="no CUDA device"):
        Placement.choose("cuda", "auto")


@pytest.mark.parametrize(("fitting", "slots"), [(10, 10), (10.9, 10), (100_000, CUDA_SLOTS)])
def test_a_gpu_takes_as_many_rows_as_its_share_of_the_memory_holds(gpu, fitting, slots):
    weights = random_gpt()
    gpu(free_bytes=int(fitting * slot_bytes(weights) / CUDA_SHARE) + 1)

    assert Placement.choose("auto", "auto").slots(weights) == slots


def test_a_gpu_that_is_full_is_out_of_memory(gpu):
    gpu(free_bytes=1000)

    with pytest.raises(EngineOutOfMemory, match="a GPU has 1000 bytes"):
        Placement.choose("auto", "auto").slots(random_gpt())
