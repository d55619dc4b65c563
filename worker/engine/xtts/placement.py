"""Where the model runs, how exactly, and how many rows fit there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch

from ..errors import EngineError, EngineOutOfMemory
from .decoder import slot_bytes
from .weights import GptWeights

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]

_DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

#: The lowest compute capability with bfloat16 in hardware.
_BF16_CAPABILITY: Final = (8, 0)

#: Rows on a processor, which gains little from more.
CPU_SLOTS: Final = 4

#: The most rows that are taken on a GPU unasked, and the share of its free memory that they may
#: have: the vocoder and another model want the rest. From 256 rows to 512 an H200 gains a ninth
#: of its speed (measured, ids to samples).
CUDA_SLOTS: Final = 512
CUDA_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Placement:
    """A device and the precision of the GPT's linear maps on it."""

    device: torch.device
    precision: str

    @classmethod
    def choose(cls, device: DeviceName, precision: Precision) -> Placement:
        """Settle what is left to us. Raises `EngineError` for a GPU that is not there.

        By itself a GPU gets half precision, a processor full.
        """
        has_cuda = torch.cuda.is_available()
        if device == "cuda" and not has_cuda:
            raise EngineError("device is 'cuda', and torch finds no CUDA device")
        place = torch.device("cuda" if has_cuda and device != "cpu" else "cpu")
        if precision != "auto":
            return cls(place, precision)
        if place.type == "cpu":
            return cls(place, "fp32")
        has_bf16 = torch.cuda.get_device_capability(place) >= _BF16_CAPABILITY
        return cls(place, "bf16" if has_bf16 else "fp16")

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """Of the GPT's linear maps."""
        return _DTYPES[self.precision]

    @property
    def vocoder_dtype(self) -> torch.dtype:
        """Of the vocoder: where it is half, fp16, whose finer steps are nearer to what is heard."""
        return torch.float16 if self.is_cuda and self.precision != "fp32" else torch.float32

    @property
    def name(self) -> str:
        """What people call the device."""
        return torch.cuda.get_device_name(self.device) if self.is_cuda else "cpu"

    def slots(self, weights: GptWeights) -> int:
        """Return how many rows to take. Raises `EngineOutOfMemory` if not one fits."""
        if not self.is_cuda:
            return CPU_SLOTS
        free_bytes, _ = torch.cuda.mem_get_info(self.device)
        slots = int(free_bytes * CUDA_SHARE) // slot_bytes(weights)
        if not slots:
            raise EngineOutOfMemory(f"{self.name} has {free_bytes} bytes left: too few for one row")
        return min(slots, CUDA_SLOTS)
