"""Does torch see a GPU that the farm can work on? Run on the machine, or in the image:

    docker run --rm --gpus all voicefarm-gpu:test

A machine without a GPU skips these, in CI too: none of its machines has one, and nothing but a GPU
can answer them.
"""

from __future__ import annotations

import gc
import re
import time

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: this is no GPU worker")

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch sees no GPU on this machine"
)

#: A card that is sold with 12 GB tells of 11.6 to 12.0 GiB.
MIN_MEMORY_BYTES = int(11.5 * 2**30)
MIN_CAPABILITY = (7, 0)

#: Rows and columns of a product that is work even for a large GPU.
SIDE = 4096

#: How much faster than the processor it must at least be. A T4 is 20 times faster.
SPEEDUP = 5


def version(text: str) -> tuple[int, ...]:
    """The numbers of a version such as 2.10.0+cu128."""
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0]))


def fastest_s(device: str, *, turns: int) -> float:
    """Seconds that one product takes at best."""
    matrix = torch.randn(SIDE, SIDE, device=device)
    taken_s = []
    for _ in range(turns):
        start_s = time.perf_counter()
        product = matrix @ matrix
        # The GPU works behind our back until its result is asked for.
        float(product[0, 0])
        taken_s.append(time.perf_counter() - start_s)
    return min(taken_s)


class TestGPUDetection:
    def test_cuda_available(self):
        assert torch.cuda.is_available()

    def test_cuda_device_count(self):
        assert torch.cuda.device_count() >= 1

    def test_cuda_device_name(self):
        assert torch.cuda.get_device_name(0).strip()

    def test_cuda_memory_available(self):
        _, total_bytes = torch.cuda.mem_get_info(0)

        assert total_bytes >= MIN_MEMORY_BYTES

    def test_cuda_compute_capability(self):
        assert torch.cuda.get_device_capability(0) >= MIN_CAPABILITY

    def test_simple_gpu_operation(self):
        left, right = torch.randn(2, 256, 256, dtype=torch.float64, device="cuda")

        product = left @ right

        assert product.is_cuda
        torch.testing.assert_close(product.cpu(), left.cpu() @ right.cpu())


class TestGPUPerformance:
    def test_gpu_faster_than_cpu(self):
        on_gpu_s, on_cpu_s = fastest_s("cuda", turns=10), fastest_s("cpu", turns=2)

        assert on_cpu_s > SPEEDUP * on_gpu_s

    def test_gpu_memory_allocation(self):
        block_bytes = 2**30
        before_bytes = torch.cuda.memory_allocated()

        block = torch.empty(block_bytes, dtype=torch.uint8, device="cuda")
        held_bytes = torch.cuda.memory_allocated()
        del block
        gc.collect()
        torch.cuda.empty_cache()

        assert held_bytes - before_bytes >= block_bytes
        assert torch.cuda.memory_allocated() == before_bytes


class TestDockerHealthCheck:
    def test_pytorch_version(self):
        assert version(torch.__version__) >= (2, 4, 0)

    def test_cuda_version_compatibility(self):
        """Any CUDA from 12.1 on whose build of torch has code for this very card."""
        major, minor = torch.cuda.get_device_capability(0)
        built_for = torch.cuda.get_arch_list()

        assert version(str(torch.version.cuda)) >= (12, 1)
        assert any(covers(target, major, minor) for target in built_for), built_for

    def test_gpu_device_properties(self):
        properties = torch.cuda.get_device_properties(0)

        assert properties.name == torch.cuda.get_device_name(0)
        assert (properties.major, properties.minor) == torch.cuda.get_device_capability(0)
        assert properties.total_memory > 0
        assert properties.multi_processor_count > 0


def covers(target: str, major: int, minor: int) -> bool:
    """True if code for `target`, such as sm_90, runs on a card of this capability.

    Machine code runs on cards of its own generation that are not older; the code of a virtual
    card, compute_90, is compiled for any later one.
    """
    kind, _, number = target.partition("_")
    if not number.isdecimal():
        return target == f"sm_{major}{minor}a"
    of = (int(number[:-1]), int(number[-1]))
    return of <= (major, minor) and (kind == "compute" or of[0] == major)
