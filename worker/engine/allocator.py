"""The C allocator of a process: it gives back what is freed.

A worker's threads come and go with its jobs, and each take is a buffer of up to megabytes. glibc
gives each thread an arena of its own, and keeps what was freed there: memory creeps up with no
object behind it. So `give_back_freed` is said once in a worker.

Networks on a processor free and take megabytes all the time, and would pay for it with every
page. Where they run, `trim` is called now and then.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

#: From `<malloc.h>`: from what size on a buffer is the system's and goes back to it when freed,
#: how much may lie free at an arena's end, and how many arenas there are at most.
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
_M_ARENA_MAX: Final = -8

#: Most of what threads do outside of Python's own allocator is short: two arenas suffice.
ARENAS: Final = 2
LARGE_BYTES: Final = 1 << 20


def give_back_freed(**_: Any) -> bool:
    """Set it for this process; False where the C library is not glibc. A handler of a signal."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    wanted = {
        _M_ARENA_MAX: ARENAS,
        _M_MMAP_THRESHOLD: LARGE_BYTES,
        _M_TRIM_THRESHOLD: LARGE_BYTES,
    }
    return all(mallopt(name, value) for name, value in wanted.items())


def trim() -> bool:
    """Give back what is free at the moment; False where the C library is not glibc.

    About 10 ms a GB of heap, on one processor of a virtual machine that others share, 2026-11-28.
    """
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    malloc_trim(0)
    return True
