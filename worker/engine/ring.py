"""A queue of bytes in shared memory, from one writing process to one reading process.

The memory has no name: it is gone with the last process that holds its descriptor, so a
process that is killed leaves nothing behind. Linux only (`memfd`, `eventfd`).
"""

from __future__ import annotations

import mmap
import os
import select
from typing import Final, Self

#: Two counters of 8 bytes: how many bytes were ever written, and how many were ever read.
_HEADER_BYTES: Final = 16
_WRITTEN: Final = 0
_READ: Final = 1

#: How often a writer looks by itself whether there is space: a processor may show the other end
#: its own count too late to be called.
_LOOK_MS: Final = 50


class Ring:
    """The two ends are used by one thread each. Who reads learns elsewhere how much there is."""

    def __init__(self, memory_fd: int, space_fd: int) -> None:
        """Attach to a ring that another process has created."""
        self.fds = (memory_fd, space_fd)
        self._memory = mmap.mmap(memory_fd, 0)
        self._header = memoryview(self._memory)[:_HEADER_BYTES]
        self._counters = self._header.cast("Q")
        self._bytes = memoryview(self._memory)[_HEADER_BYTES:]

    @classmethod
    def create(cls, size_bytes: int) -> Self:
        """Make a ring that holds `size_bytes`; its memory is taken when it is first used."""
        memory_fd = os.memfd_create("voicefarm-ring")
        os.ftruncate(memory_fd, _HEADER_BYTES + size_bytes)
        return cls(memory_fd, os.eventfd(0))

    @property
    def free_bytes(self) -> int:
        """How much can be written without waiting, at least; the writer's end asks."""
        return len(self._bytes) - (self._counters[_WRITTEN] - self._counters[_READ])

    def write(self, data: memoryview) -> int:
        """Wait until there is space, write what fits of `data`, return how many bytes did."""
        size = len(self._bytes)
        written = self._counters[_WRITTEN]
        while (used := written - self._counters[_READ]) == size:
            self._wait()
        count = min(size - used, len(data))
        start = written % size
        straight = min(count, size - start)
        self._bytes[start : start + straight] = data[:straight]
        self._bytes[: count - straight] = data[straight:count]
        self._counters[_WRITTEN] = written + count
        return count

    def read_into(self, target: memoryview) -> None:
        """Fill `target` with the next bytes. Raises `ValueError` if so many were not written."""
        size, count = len(self._bytes), len(target)
        read = self._counters[_READ]
        used = self._counters[_WRITTEN] - read
        if count > used:
            raise ValueError(f"{count} bytes are not in the ring")
        start = read % size
        straight = min(count, size - start)
        target[:straight] = self._bytes[start : start + straight]
        target[straight:] = self._bytes[: count - straight]
        self._counters[_READ] = read + count
        # Nobody waits for space in a ring that was half empty: the call of the system, which
        # gives the interpreter to another thread, is saved for nearly every take.
        if 2 * used > size:
            os.eventfd_write(self.fds[1], 1)

    def close(self) -> None:
        """Let go of the memory."""
        for view in (self._counters, self._header, self._bytes):
            view.release()
        self._memory.close()
        for fd in self.fds:
            os.close(fd)

    def _wait(self) -> None:
        """Wait for the reader's call, but not for long."""
        poll = select.poll()
        poll.register(self.fds[1], select.POLLIN)
        if poll.poll(_LOOK_MS):
            os.eventfd_read(self.fds[1])
