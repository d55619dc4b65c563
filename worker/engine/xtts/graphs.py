"""CUDA graphs: a fixed sequence of kernels, recorded once and replayed as one launch."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Graphs:
    """Records work into graphs that share memory; where there is no GPU, work stays as it is.

    Because they share it, graphs of one `Graphs` must not run at the same time: give work that
    runs beside this one its own.
    """

    def __init__(self, device: torch.device, *, enabled: bool = True, beside: bool = False) -> None:
        """With `enabled` false, work on a GPU stays as it is too.

        With `beside`, other threads may use the GPU meanwhile, and nothing is waited for; then work
        must have been done before it is recorded.
        """
        self._device = device
        self._is_on = enabled and device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._is_on else None
        self._beside = torch.cuda.Stream(device) if self._is_on and beside else None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return what does `work` again, on the same tensors.

        Unless others are beside it, `work` is done once on the way, so that everything in it is
        compiled and set up.
        Largest first needs the least memory.
        """
        if not self._is_on:
            return work
        if self._beside is not None:
            return self._recorded_beside(work, self._beside)
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream):
            work()
        return graph.replay

    def _recorded_beside(
        self, work: Callable[[], None], stream: torch.cuda.Stream
    ) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # `torch.cuda.graph` would wait for the device, and give all its free memory back.
        with torch.cuda.stream(stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                work()
            finally:
                graph.capture_end()
        return graph.replay
