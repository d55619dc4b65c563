"""Where the time of a conversion goes on a device: kernels, launches, and waiting for either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from .rvc_floor import seconds, wait
from .rvc_networks import Shapes
from .rvc_scene import Scene, wave_of

#: How many of the kernels are shown.
_SHOWN = 14

#: Calls after which the host waits, or may wait.
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def kernels(
    device: torch.device, dtype: torch.dtype, shapes: Shapes, voices: int, rows: int,
    lengths_s: Sequence[float],
) -> bool:  # fmt: skip
    """Show for the whole way, as one batch, what the device is busy with."""
    scene = Scene.of(device, dtype, shapes, voices)
    for length_s in lengths_s:
        clips = scene.clips([wave_of(length_s, device, seed) for seed in range(rows)])
        converter = scene.converter()

        def work(clips: Any = clips, converter: Any = converter) -> None:
            converter.convert(clips)

        print(f"   end to end, {rows} x {length_s:.0f} s:")
        show(work, device)
    return True


def show(work: Callable[[], object], device: torch.device) -> None:
    """Print how long the device is busy of the time that some work takes, and with what."""
    took_s = seconds(work, device, 3)
    is_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_gpu else [])]
    with profile(activities=activities) as found:
        work()
        wait(device)
    averages = found.key_averages()
    if is_gpu:
        rows = [one for one in averages if one.device_type == DeviceType.CUDA]
        times_ms = {one.key: one.self_device_time_total / 1000 for one in rows}
    else:
        rows = [one for one in averages if one.device_type == DeviceType.CPU]
        times_ms = {one.key: one.self_cpu_time_total / 1000 for one in rows}
    counts = {one.key: one.count for one in rows}
    waits = sum(one.count for one in averages if one.key in _WAITS)
    print(
        f"      {1000 * took_s:.1f} ms, {sum(times_ms.values()):.1f} ms of it busy, in "
        f"{sum(counts.values())} kernels or copies; the host waited {waits} times"
    )
    for key in sorted(times_ms, key=lambda name: -times_ms[name])[:_SHOWN]:
        print(f"      {times_ms[key]:9.2f} ms {counts[key]:6} x {key[:90]}", flush=True)
