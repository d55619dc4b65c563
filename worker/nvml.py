"""The facts of NVIDIA's GPUs, from NVML: the library that `nvidia-smi` reads too.

A machine without the library or the driver has no GPUs, and that is no error. One question
that a card does not answer leaves out its answer and nothing else.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from .gpus import Gpu, GpuReading, GpuSource, NoGpus

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: NVML's reasons for a lower clock that cost speed, by their bit. An idle GPU, and clocks that
#: somebody has set, are not among them.
THROTTLING: Final = {
    0x04: "power_cap",
    0x08: "hardware_slowdown",
    0x20: "thermal_software",
    0x40: "thermal_hardware",
    0x80: "power_brake",
}


class Nvml:
    """A `GpuSource`. Thread-safe; `api` is the module `pynvml`, already initialised."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._lock = threading.Lock()

    def gpus(self) -> Sequence[Gpu]:
        """See `GpuSource`; a card that cannot even say what it is is left out."""
        with self._lock:
            count = self._asked(self._api.nvmlDeviceGetCount) or 0
            found = [self._asked(partial(self._gpu, index)) for index in range(count)]
        return [gpu for gpu in found if gpu is not None]

    def reading(self, uuid: str) -> GpuReading | None:
        """See `GpuSource`."""
        api = self._api
        with self._lock:
            card = self._asked(lambda: api.nvmlDeviceGetHandleByUUID(uuid))
            if card is None:
                return None
            bits = self._asked(lambda: api.nvmlDeviceGetCurrentClocksThrottleReasons(card)) or 0
            return GpuReading(
                used_bytes=self._asked(lambda: int(api.nvmlDeviceGetMemoryInfo(card).used)),
                temperature_c=self._asked(
                    lambda: int(api.nvmlDeviceGetTemperature(card, api.NVML_TEMPERATURE_GPU))
                ),
                throttling=tuple(word for bit, word in THROTTLING.items() if bits & bit),
            )

    def _gpu(self, index: int) -> Gpu:
        api = self._api
        card = api.nvmlDeviceGetHandleByIndex(index)
        major, minor = api.nvmlDeviceGetCudaComputeCapability(card)
        return Gpu(
            index=index,
            uuid=_text(api.nvmlDeviceGetUUID(card)),
            name=_text(api.nvmlDeviceGetName(card)),
            memory_bytes=int(api.nvmlDeviceGetMemoryInfo(card).total),
            capability=(int(major), int(minor)),
        )

    def _asked(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except self._api.NVMLError as error:
            logger.debug("NVML: %s", error)
            return None


def nvml_source() -> GpuSource:
    """Return NVML, or a machine without GPUs if it is not to be had."""
    try:
        import pynvml
    except ImportError:
        return NoGpus()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        logger.debug("NVML: %s", error)
        return NoGpus()
    return Nvml(pynvml)


def _text(value: str | bytes) -> str:
    """Return text; older releases of the binding give bytes."""
    return value.decode() if isinstance(value, bytes) else value
