"""The allocator: what many threads have freed is the system's again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

#: Threads that each free buffers of 0.5 MB, and keep small ones in between.
SCRIPT = """
import ctypes, sys, threading
from worker.allocator import give_back_freed
from pathlib import Path

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if sys.argv[1] == "set":
    assert give_back_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
before_mb = resident_mb()
barrier = threading.Barrier(16)

def work():
    blocks = []
    for _ in range(8):
        block = libc.malloc(100_000)
        ctypes.memset(block, 1, 100_000)
        blocks.append(block)
    barrier.wait()
    for block in blocks:
        libc.free(block)
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident_mb() - before_mb)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells of memory there")
def test_what_threads_have_freed_is_given_back():
    def left_mb(how: str) -> float:
        command = [sys.executable, "-c", SCRIPT, how]
        ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        return float(ended.stdout)

    assert left_mb("set") < left_mb("plain")
