"""The ring: bytes come out as they went in, whatever their size and however full it is."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.ring import Ring


def attached(ring: Ring) -> Ring:
    """The same ring, as another process sees it."""
    return Ring(*(os.dup(fd) for fd in ring.fds))


def read_from(ring: Ring, count: int) -> bytes:
    target = bytearray(count)
    ring.read_into(memoryview(target))
    return bytes(target)


@given(size=st.integers(1, 40), pieces=st.lists(st.binary(max_size=100), max_size=20))
@settings(deadline=None, max_examples=60)
def test_what_is_read_is_what_was_written(size, pieces):
    ring = Ring.create(size)
    other = attached(ring)
    read: list[bytes] = []

    for piece in pieces:
        left = memoryview(piece)
        while left:
            count = ring.write(left)
            left = left[count:]
            read.append(read_from(other, count))

    assert b"".join(read) == b"".join(pieces)
    ring.close()
    other.close()


def test_a_writer_waits_while_the_ring_is_full():
    ring = Ring.create(4)
    other = attached(ring)
    data = bytes(range(200))
    announced = threading.Semaphore(0)
    counts: list[int] = []

    def write() -> None:
        left = memoryview(data)
        while left:
            counts.append(ring.write(left))
            left = left[counts[-1] :]
            announced.release()

    writer = threading.Thread(target=write)
    writer.start()
    read = b""
    for turn in range(len(data)):
        if len(read) == len(data):
            break
        assert announced.acquire(timeout=10)
        read += read_from(other, counts[turn])
    writer.join(10)

    assert read == data
    assert max(counts) <= 4


def test_a_writer_goes_on_though_it_was_not_called(monkeypatch):
    monkeypatch.setattr(os, "eventfd_write", lambda fd, value: None)
    ring = Ring.create(4)
    other = attached(ring)
    ring.write(memoryview(b"abcd"))
    writer = threading.Thread(target=ring.write, args=[memoryview(b"ef")])
    writer.start()

    assert read_from(other, 4) == b"abcd"
    writer.join(10)

    assert read_from(other, 2) == b"ef"


def test_no_more_can_be_read_than_was_written():
    ring = Ring.create(10)
    ring.write(memoryview(b"abc"))

    with pytest.raises(ValueError, match="4 bytes"):
        read_from(ring, 4)


def test_nothing_is_written_of_nothing():
    assert Ring.create(10).write(memoryview(b"")) == 0


def test_a_closed_ring_leaves_nothing_behind():
    descriptors = Path("/proc/self/fd")
    before = set(descriptors.iterdir())
    ring = Ring.create(1 << 20)
    ring.write(memoryview(b"abc"))

    ring.close()

    assert set(descriptors.iterdir()) == before
