"""The least time that a conversion can take: operations and bytes over measured rates.

Counted are the products and convolutions, each with what it must read and write once. Each takes
at least the longer of the two; all that lies between them could be part of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import flop_registry

#: What inference mode shows as a whole, and consists of what is counted.
_COMPOSED = frozenset(
    ("linear", "matmul", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d",
     "scaled_dot_product_attention")
)  # fmt: skip


class Work(TorchDispatchMode):
    """Counts what is computed within it."""

    def __init__(self) -> None:
        super().__init__()
        #: Of each product or convolution: operations, bytes.
        self.parts: list[tuple[float, float]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet.__name__ in _COMPOSED:
            with self:
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        if packet in flop_registry:
            flop = flop_registry[packet](*args, **kwargs, out_val=out)
            tensors = [x for x in tree_flatten((args, kwargs, out))[0] if isinstance(x, Tensor)]
            self.parts.append((flop, sum(x.numel() * x.element_size() for x in tensors)))
        return out

    @property
    def flop(self) -> float:
        """All operations."""
        return sum(flop for flop, _ in self.parts)

    def least_s(self, flop_per_s: float, bytes_per_s: float) -> float:
        """Return the least time at such rates."""
        return sum(max(flop / flop_per_s, size / bytes_per_s) for flop, size in self.parts)


def counted(work: Callable[[], object]) -> Work:
    """Do some work and return what it was."""
    with Work() as found:
        work()
    return found


def rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Return what a large product and a large copy reach: operations and bytes a second."""
    is_gpu = device.type == "cuda"
    size, length = (8192, 2**31) if is_gpu else (512, 2**25)
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return (
        2 * size**3 / seconds(lambda: one @ other, device),
        2 * length / seconds(lambda: target.copy_(source), device),
    )


def seconds(
    work: Callable[[], object], device: torch.device, times: int = 5, for_nothing: int = 2
) -> float:
    """Return how long some work takes, in the middle of a few times, after some for nothing."""
    took_s = []
    for number in range(for_nothing + times):
        wait(device)
        started_s = time.perf_counter()
        work()
        wait(device)
        if number >= for_nothing:
            took_s.append(time.perf_counter() - started_s)
    return statistics.median(took_s)


def wait(device: torch.device) -> None:
    """Until the device has done all."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
