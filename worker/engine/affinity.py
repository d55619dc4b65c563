"""The processors of a worker: its Celery process keeps to one, and whatever computes has them all.

Hundreds of threads wait there for jobs, and hand each other the interpreter's lock. From one
processor to another each time a sleeping one is woken, and what it needs lies in another's
cache; on one and the same it is a switch between two threads, and the process can use one at a
time anyhow. docs/benchmarks.md has what that gains: a quarter to a third of a job beside an H200.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Of a kernel that knows it, which is Linux.
_IS_KNOWN: Final = hasattr(os, "sched_setaffinity")

_THREADS: Final = Path("/proc/self/task")

#: The same in all containers of one machine, until it starts again.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

#: A thread that is begun while the others are told has to be told too.
_PASSES: Final = 10


@dataclass(frozen=True, slots=True)
class _Berth:
    """The processor that this process keeps to, and no other worker of its farm and machine."""

    processor: int
    #: What its threads could use before.
    before: frozenset[int]
    #: Of the file whose byte of that number is locked; the kernel frees it with the process.
    fd: int


#: Of this process: none or one.
_berths: list[_Berth] = []


def processors() -> int:
    """Return how many processors this process may use, for whatever computes."""
    if _berths:
        return len(_berths[0].before)
    return len(os.sched_getaffinity(0)) if _IS_KNOWN else os.cpu_count() or 1


def pinned_to() -> int | None:
    """Return the processor that this process keeps to; None if it may use all."""
    return _berths[0].processor if _berths else None


def pin(name: str, directory: Path) -> int | None:
    """Keep all threads of this process, and those to come, to one processor; return which.

    Workers that share `directory` and a machine take different ones, also from containers: each
    locks a byte of one file there. `name` decides where the search begins, so that those of two
    farms seldom meet. Returns None, and nothing is changed, where that is not to be had: one
    processor, all of them taken, a sandbox that forbids it, another kernel than Linux.
    """
    if not _IS_KNOWN or _berths:
        return pinned_to()
    before = frozenset(os.sched_getaffinity(0))
    if len(before) < 2:
        return None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"processors.{_BOOT_ID.read_text().strip()}"
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None
    for processor in search_order(sorted(before), name):
        if _locked(fd, processor):
            if _keep_to(frozenset({processor})):
                _berths.append(_Berth(processor, before, fd))
                return processor
            _keep_to(before)
            fcntl.lockf(fd, fcntl.LOCK_UN, 1, processor)
    os.close(fd)
    return None


def unpin() -> None:
    """Let this process use what it could before: what it becomes by `exec` would be pinned too."""
    while _berths:
        berth = _berths.pop()
        _keep_to(berth.before)
        os.close(berth.fd)


@contextmanager
def unpinned() -> Iterator[None]:
    """Let this thread use all processors in the block, and processes and threads begun in it.

    For starting what computes, and for work on samples outside of the interpreter. A process
    that is not pinned is left alone.
    """
    berth = _berths[0] if _berths else None
    if berth is None or os.sched_getaffinity(0) != {berth.processor}:
        yield
        return
    _allow(0, berth.before)
    try:
        yield
    finally:
        _allow(0, {berth.processor})


def search_order(processors: Sequence[int], name: str) -> list[int]:
    """Return the processors in the order in which a process of this name asks for them."""
    start = zlib.crc32(name.encode()) % len(processors)
    return [*processors[start:], *processors[:start]]


def _locked(fd: int, processor: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, processor)
    except OSError:
        return False
    return True


def _keep_to(processors: frozenset[int]) -> bool:
    """Let all threads use these and no others; False if some cannot be told."""
    for _ in range(_PASSES):
        strays = list(_strays(processors))
        if not strays:
            return True
        for thread in strays:
            _allow(thread, processors)
    return False


def _strays(processors: frozenset[int]) -> Iterator[int]:
    for thread in _THREADS.iterdir():
        with suppress(ProcessLookupError):
            if os.sched_getaffinity(int(thread.name)) != processors:
                yield int(thread.name)


def _allow(thread: int, processors: Collection[int]) -> None:
    """Let a thread use these; 0 is the calling one."""
    # It may have ended, and a container may have lost a processor since: no job fails for that.
    with suppress(OSError):
        os.sched_setaffinity(thread, processors)
