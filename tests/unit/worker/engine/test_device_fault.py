"""Which errors end a device for its process, and which leave it as it was."""

from __future__ import annotations

import pytest

from worker.engine.device_fault import is_device_fault
from worker.engine.errors import ChunkFailed, EngineOutOfMemory


class AcceleratorError(RuntimeError):
    """Has the name of torch's."""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        AcceleratorError("an illegal memory access was encountered"),
    ],
)
def test_an_error_of_the_device_is_for_ever(error):
    assert is_device_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        AcceleratorError("CUDA error: out of memory"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        ValueError("CUDA error: a user wrote this"),
        ChunkFailed("no"),
        EngineOutOfMemory("no room"),
        MemoryError(),
    ],
)
def test_every_other_error_leaves_the_device_as_it_was(error):
    assert not is_device_fault(error)


def test_torch_still_has_the_class_that_is_known_by_name():
    torch = pytest.importorskip("torch")

    assert issubclass(torch.AcceleratorError, RuntimeError)
