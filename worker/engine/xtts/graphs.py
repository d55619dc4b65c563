"""CUDA graphs: a fixed sequence of kernels, recorded once and replayed as one launch."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Graphs:
    """Records work into graphs that share memory; where there is no GPU, work stays as it is.

    Because they share it, graphs of one `Graphs` must not run at the same time: give work that
    runs beside this one its own.
    """

    def __init__(self, device: torch.device, *, enabled: bool = True) -> None:
        """With `enabled` false, work on a GPU stays as it is too."""
        self._device = device
        self._is_on = enabled and device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._is_on else None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return what does `work` again, on the same tensors.

        `work` is done once on the way, so that everything in it is compiled and set up.
        Largest first needs the least memory.
        """
        if not self._is_on:
            return work
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream):
            work()
        return graph.replay
