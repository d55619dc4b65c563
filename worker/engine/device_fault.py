"""Errors after which a device is of no more use to its process: CUDA's are for ever. Pure."""

from __future__ import annotations

from typing import Final

#: What torch (also over cuBLAS) and Triton put in front of an error of the device.
_WORDS: Final = ("CUDA error", "Triton Error [CUDA]")

#: Torch's own class for them, by name: the engine runs without torch too.
_CLASS: Final = "AcceleratorError"


def is_device_fault(error: BaseException) -> bool:
    """Tell whether nothing that this process asks of its device can succeed any more.

    Running out of memory is not that: what does not fit now fits later.
    """
    words = str(error)
    if "out of memory" in words:
        return False
    named = any(kind.__name__ == _CLASS for kind in type(error).__mro__)
    return named or (isinstance(error, RuntimeError) and any(word in words for word in _WORDS))
