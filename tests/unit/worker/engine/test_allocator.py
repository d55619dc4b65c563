"""The allocator: what many threads have freed is the system's again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

#: Threads that each free buffers of 1.5 MB, and keep small ones in between.
SCRIPT = """
import ctypes, sys, threading
from worker.engine.allocator import give_back_freed
from pathlib import Path

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if sys.argv[1] == "set":
    assert give_back_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
before_mb = resident_mb()
barrier = threading.Barrier(4)

def work():
    # glibc takes it for a sign that blocks of this size come and go.
    libc.free(libc.malloc(2_000_000))
    blocks = []
    for _ in range(8):
        block = libc.malloc(1_500_000)
        ctypes.memset(block, 1, 1_500_000)
        blocks.append(block)
        ctypes.memset(libc.malloc(30_000), 1, 30_000)
    barrier.wait()
    for block in blocks:
        libc.free(block)
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident_mb() - before_mb)
"""


#: 30 MB in holes of 0.1 MB, between 9 MB in small blocks that stay.
HOLES = """
import ctypes, sys
from worker.engine.allocator import trim
from pathlib import Path

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
before_mb = resident_mb()
large = []
for _ in range(300):
    large.append(libc.malloc(100_000))
    ctypes.memset(large[-1], 1, 100_000)
    ctypes.memset(libc.malloc(30_000), 1, 30_000)
for block in large:
    libc.free(block)
if sys.argv[1] == "trimmed":
    assert trim()
print(resident_mb() - before_mb)
"""


def left_mb(script: str, how: str) -> float:
    """What a process has more in memory after its work than before."""
    command = [sys.executable, "-c", script, how]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return float(ended.stdout)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells of memory there")
def test_what_threads_have_freed_is_given_back():
    assert left_mb(SCRIPT, "plain") > 40
    assert left_mb(SCRIPT, "set") < 10


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells of memory there")
def test_holes_between_what_stays_are_given_back_when_it_is_said():
    assert left_mb(HOLES, "plain") > 30
    assert left_mb(HOLES, "trimmed") < 15
