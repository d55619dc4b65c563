"""How the memory that is left on a device is shared out: voices, work, and what others may have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import torch

#: Shares of the free memory. Another model beside RVC gets what is left.
VOICES_SHARE: Final = 0.2
WORK_SHARE: Final = 0.2

#: Of the host's free memory, for voices beside a GPU; they may take as much as on it at least.
HOST_SHARE: Final = 0.1

#: Bounds of what voices may take.
LEAST_BYTES: Final = 256 << 20
MOST_BYTES: Final = 16_000 << 20

#: What the work takes at most for each second that is converted together, and besides: the largest
#: tensors at a time, added up, in half precision. Networks of the published sizes.
_SECOND_BYTES: Final = 8 << 20
_BASE_BYTES: Final = 1 << 30

#: What CUDA graphs take where there is room for much work: what they read and write, and the
#: weights beside it. In between they need what the work would need without them.
_GRAPHS_BYTES: Final = 1 << 30

#: Seconds that are converted together at least and at most.
_LEAST_S: Final = 15.0
_MOST_S: Final = 320.0


@dataclass(frozen=True, slots=True)
class Rooms:
    """What RVC may take on a device, beside its networks."""

    voices_bytes: int
    work_bytes: int

    @classmethod
    def on(cls, device: torch.device, voices_bytes: int | None = None) -> Rooms:
        """Share out what is free now; `voices_bytes` is somebody's own choice."""
        free_bytes = _free_bytes(device)
        room = min(max(int(free_bytes * VOICES_SHARE), LEAST_BYTES), MOST_BYTES)
        most = _BASE_BYTES + int(_MOST_S * _SECOND_BYTES)
        return cls(voices_bytes or room, min(int(free_bytes * WORK_SHARE), most))

    @property
    def host_bytes(self) -> int:
        """What voices may take of the host's memory, beside a GPU."""
        share = int(_free_bytes(torch.device("cpu")) * HOST_SHARE)
        return max(self.voices_bytes, min(share, MOST_BYTES))

    @property
    def together_s(self) -> float:
        """Seconds that may be converted together."""
        seconds = (self.work_bytes - _BASE_BYTES) / _SECOND_BYTES
        return min(max(seconds, _LEAST_S), _MOST_S)

    @property
    def is_tight(self) -> bool:
        """True if less is converted together than would be fast."""
        return self.together_s < _MOST_S

    def kept_free(self, device: torch.device) -> torch.Tensor:
        """Return memory that is taken for as long as somebody else looks how much is free."""
        graphs_bytes = 0 if self.is_tight else _GRAPHS_BYTES
        is_gpu = device.type == "cuda"
        size = self.voices_bytes + self.work_bytes + graphs_bytes if is_gpu else 0
        return torch.empty(size, dtype=torch.uint8, device=device)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        return free_bytes
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
