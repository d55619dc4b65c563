"""A press's own side: what is durable when, what is told, and what is left of what fails."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone

from producer.content_key import content_key
from producer.job import OutputSpec
from worker.engine.channel import Channel
from worker.engine.request import Samples
from worker.engine.ring import Ring
from worker.press_child import PressChild
from worker.press_order import Order, decode_entry

#: Only a broken press takes so long.
PATIENCE_S = 10.0


class Disk:
    """A `Sync` that notes what the volume looks like, and does what its test wants meanwhile."""

    def __init__(self) -> None:
        self.synced: list[list[Path]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.fails: OSError | None = None

    def sync(self, paths: Sequence[Path]) -> None:
        self.synced.append(list(paths))
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        if self.fails is not None:
            raise self.fails

    def close(self) -> None:
        """Nothing is held."""


class Customer:
    """The worker's end of a press that serves in a thread."""

    def __init__(self, shelf: Shelf) -> None:
        self.disk = Disk()
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        self._end, self._channel = ours, Channel(ours)
        self._ring = Ring.create(1 << 22)
        # Its disk may order too, in the press' thread, before the first order is quite sent.
        self._ordering = threading.Lock()
        child = PressChild(Channel(theirs), self._ring, lambda _: self.disk)
        self._thread = threading.Thread(target=child.serve, daemon=True)
        self._thread.start()
        self._channel.send({"home": str(shelf.volumes.home)})
        assert self._channel.receive() == [{"ready": True}]

    def order(
        self, number: int, key: str, samples: Samples | None = None, output: OutputSpec = WAV
    ) -> None:
        data = memoryview((tone() if samples is None else samples).tobytes())
        order = Order(key, output, RATE_HZ, FACTS).encode()
        with self._ordering:
            self._ring.write(data)
            self._channel.send({"order": order, "number": number, "bytes": len(data)})

    def told(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many answers."""
        told: list[dict[str, Any]] = []
        while len(told) < count:
            for message in self._channel.receive():
                told += message["told"]
        return told

    def leave(self) -> None:
        """Order no more, and wait until the press has ended."""
        self._end.shutdown(socket.SHUT_WR)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self._channel.close()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty one."""
    return Shelf(tmp_path / "home")


@pytest.fixture
def customer(shelf: Shelf) -> Iterator[Customer]:
    """Of a press on that shelf's volume."""
    customer = Customer(shelf)
    yield customer
    customer.close()


def test_a_pressed_file_is_the_one_that_the_store_would_have_made(
    shelf: Shelf, customer: Customer
) -> None:
    other = content_key(text="other")
    customer.order(7, KEY)

    (answer,) = customer.told()

    entry = decode_entry(answer["entry"])
    assert answer["number"] == 7
    assert shelf.store.find(KEY, "wav") == entry
    stored = shelf.put(key=other)
    assert entry.manifest.model_copy(update={"content_key": other}) == stored.manifest
    assert shelf.store.verify(entry)
    assert shelf.staged == []


def test_files_are_durable_before_their_name_and_the_name_before_the_answer(
    shelf: Shelf, customer: Customer
) -> None:
    seen: list[bool] = []
    customer.disk.meanwhile = lambda: seen.append(shelf.store.find(KEY, "wav") is not None)
    customer.order(0, KEY)

    customer.told()

    (staged,), (published,) = customer.disk.synced
    assert seen == [False]
    assert staged.parent == shelf.staging
    assert published == shelf.volumes.entry(KEY)


def test_what_comes_during_a_sync_shares_the_next_one(shelf: Shelf, customer: Customer) -> None:
    keys = [content_key(number=number) for number in range(3)]

    def meanwhile() -> None:
        for number in (1, 2):
            customer.order(number, keys[number])

    customer.disk.meanwhile = meanwhile
    customer.order(0, keys[0])

    numbers = [answer["number"] for answer in customer.told(3)]

    assert numbers == [0, 1, 2]
    # Its files; its name with the files of the others; their names.
    assert list(map(len, customer.disk.synced)) == [1, 3, 2]


def test_the_second_order_of_a_key_gets_the_first_ones_entry(
    shelf: Shelf, customer: Customer
) -> None:
    first = shelf.put()
    customer.order(0, KEY, tone(0.25))

    (answer,) = customer.told()

    assert decode_entry(answer["entry"]) == first
    assert shelf.staged == []


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0, np.float32), np.full(9, np.nan, np.float32)],
    ids=["no samples", "no numbers"],
)
def test_what_fails_is_told_leaves_nothing_and_fails_alone(
    shelf: Shelf, customer: Customer, samples: Samples
) -> None:
    def meanwhile() -> None:
        customer.order(1, content_key(text="bad"), samples)

    customer.disk.meanwhile = meanwhile
    customer.order(0, KEY)

    answers = {answer["number"]: answer for answer in customer.told(2)}

    assert "sample" in answers[1]["words"]
    assert decode_entry(answers[0]["entry"]) == shelf.store.find(KEY, "wav")
    assert shelf.staged == []


def test_a_sync_that_fails_takes_its_files_along(shelf: Shelf, customer: Customer) -> None:
    customer.disk.fails = OSError(errno.EIO, os.strerror(errno.EIO))
    customer.order(0, KEY)

    (answer,) = customer.told()

    assert os.strerror(errno.EIO) in answer["words"]
    assert shelf.store.find(KEY, "wav") is None
    assert shelf.staged == []


def test_what_was_begun_is_finished_when_the_worker_stops(shelf: Shelf, customer: Customer) -> None:
    customer.order(0, KEY)
    customer.order(1, content_key(text="late"))

    customer.leave()

    assert [answer["number"] for answer in customer.told(2)] == [0, 1]
    assert len(shelf.entries) == 2
