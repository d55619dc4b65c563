"""The processors of a worker: its Celery process keeps to one, and whatever computes has them all.

Hundreds of threads wait there for jobs, and hand each other the interpreter's lock. From one
processor to another each time a sleeping one is woken, and what it needs lies in another's
cache; on one and the same it is a switch between two threads, and the process can use one at a
time anyhow. Beside an H200 and its 260 jobs a second (32 processors, 2026-11-28) a job took the
Celery process 3.3 to 4.1 ms before and 2.3 to 2.9 pinned, turn by turn in one run.
"""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: Of a kernel that knows it, which is Linux.
_IS_KNOWN: Final = hasattr(os, "sched_setaffinity")

#: Those that this process may use, whatever its threads keep to since.
PROCESSORS: Final = frozenset(os.sched_getaffinity(0) if _IS_KNOWN else range(os.cpu_count() or 1))

_THREADS: Final = Path("/proc/self/task")

#: What the kernel is told of a processor that is taken, in its name space of sockets.
BERTH = "voicefarm.processor"

#: What a pinned process holds as long as it lives, so that no other takes its processor.
_berths: list[socket.socket] = []


def pin(name: str) -> int | None:
    """Keep all threads of this process, and those to come, to one processor; return which.

    No two processes of a machine take the same one, and `name` decides where the search begins,
    so that those of two containers, which cannot see each other, seldom do. None, and nothing
    is changed, where there is no choice: one processor, as many pinned processes as processors,
    or another kernel than Linux.
    """
    if not _IS_KNOWN or len(PROCESSORS) < 2:
        return None
    for processor in turned(sorted(PROCESSORS), name):
        if _take(processor):
            for thread in _THREADS.iterdir():
                _allow(int(thread.name), {processor})
            return processor if os.sched_getaffinity(0) == {processor} else None
    return None


def turned(processors: Sequence[int], name: str) -> list[int]:
    """Return the processors in the order in which a process of this name asks for them."""
    start = zlib.crc32(name.encode()) % len(processors)
    return [*processors[start:], *processors[:start]]


@contextmanager
def unpinned() -> Iterator[None]:
    """Let this thread use all processors in the block, and processes and threads begun in it.

    For starting what computes, and for work on samples outside of the interpreter.
    """
    before = os.sched_getaffinity(0) if _IS_KNOWN else PROCESSORS
    if before == PROCESSORS:
        yield
        return
    _allow(0, PROCESSORS)
    try:
        yield
    finally:
        _allow(0, before)


def _take(processor: int) -> bool:
    """Hold a processor by the name of a socket, which is free again when this process is gone."""
    berth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        berth.bind(f"\0{BERTH}.{processor}")
    except OSError:
        berth.close()
        return False
    _berths.append(berth)
    return True


def _allow(thread: int, processors: Collection[int]) -> None:
    """Let a thread use these; 0 is the calling one."""
    # It may have ended, a sandbox may forbid it, and a container may have lost a processor since.
    # A job is never worse for it than slower.
    with suppress(OSError):
        os.sched_setaffinity(thread, processors)
