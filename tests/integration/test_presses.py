"""Presses: real processes, killed and stopped while jobs wait for their files."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from producer.content_key import content_key
from producer.job import OutputSpec
from producer.volumes import Volumes
from tests.conftest import eventually
from worker.durability import GroupCommit, sync_of
from worker.errors import VolumeMissing
from worker.manifest import Facts
from worker.press import Press
from worker.press_order import Order
from worker.pressroom import Pressroom
from worker.staged import Entry
from worker.store import STAGING, Store

RATE_HZ = 24_000
FACTS = Facts(engine="fake", model_revision="1", created_at=0.0, job={}, timings_s={})
SAMPLES = np.full(RATE_HZ, 0.25, np.float32)

#: A process that does not start or answer in this time never will.
PATIENCE_S = 30.0


@pytest.fixture
def volumes(home: Path) -> Volumes:
    """The farm's directories."""
    return Volumes(home)


@pytest.fixture
def store(volumes: Volumes) -> Iterator[Store]:
    """As a worker has it."""
    durability = GroupCommit(sync_of(volumes.processed))
    store = Store(volumes, durability)
    store.prepare()
    yield store
    durability.close()


@pytest.fixture
def press(volumes: Volumes, store: Store) -> Iterator[Press]:
    """One that takes orders."""
    press = Press(volumes.home)
    assert eventually(lambda: press.is_ready, PATIENCE_S)
    yield press
    press.close()


def order(number: int) -> Order:
    return Order(content_key(number=number), OutputSpec(), RATE_HZ, FACTS)


def test_a_press_makes_what_is_ordered(store: Store, press: Press) -> None:
    promises = [press.order(order(number), [SAMPLES, SAMPLES]) for number in range(20)]

    entries = [promise.result(PATIENCE_S) for promise in promises if promise]

    assert len(entries) == 20
    for number, entry in enumerate(entries):
        assert entry is not None
        assert entry == store.find(content_key(number=number), "wav")
        assert entry.manifest.duration_s == 2.0
        assert store.verify(entry)


def test_an_order_that_does_not_fit_is_not_taken(press: Press) -> None:
    assert press.order(order(0), [np.zeros(64 << 20, np.float32)]) is None
    promise = press.order(order(0), [SAMPLES])

    assert promise is not None
    assert promise.result(PATIENCE_S) is not None


def test_a_killed_press_gives_its_orders_back_and_is_replaced(press: Press, store: Store) -> None:
    killed = press.pid
    assert killed is not None
    os.kill(killed, signal.SIGSTOP)
    promises = [press.order(order(number), [SAMPLES]) for number in range(5)]

    os.kill(killed, signal.SIGKILL)

    assert [promise.result(PATIENCE_S) for promise in promises if promise] == [None] * 5
    assert eventually(lambda: press.is_ready and press.pid != killed, PATIENCE_S)
    promise = press.order(order(0), [SAMPLES])
    assert promise is not None
    entry = promise.result(PATIENCE_S)
    assert entry is not None
    assert entry == store.find(content_key(number=0), "wav")


def test_a_press_that_is_closed_finishes_what_it_has(press: Press, store: Store) -> None:
    promises = [press.order(order(number), [SAMPLES]) for number in range(20)]
    pid = press.pid

    press.close()

    assert all(promise and promise.result(0) for promise in promises)
    assert press.order(order(99), [SAMPLES]) is None
    assert not Path(f"/proc/{pid}").exists()


@pytest.fixture
def room(volumes: Volumes, store: Store) -> Iterator[Pressroom]:
    """One that starts a press for the first file."""
    room = Pressroom(store, volumes.home, most=2, files_each=1)
    with room.place():
        pass
    assert eventually(lambda: room.pids, PATIENCE_S)
    yield room
    room.close()


def put(room: Pressroom, number: int) -> Entry:
    with room.stage(content_key(number=number), OutputSpec(), RATE_HZ) as draft:
        draft.write(SAMPLES, RATE_HZ)
        return draft.commit(FACTS)


def test_no_file_is_lost_when_presses_are_killed(
    volumes: Volumes, store: Store, room: Pressroom
) -> None:
    with ThreadPoolExecutor(16) as jobs:
        entries = [jobs.submit(put, room, number) for number in range(400)]
        for killed in (50, 150, 250):
            entries[killed].result(PATIENCE_S)
            for pid in room.pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    for number, entry in enumerate(entries):
        assert entry.result() == store.find(content_key(number=number), "wav")
        assert store.verify(entry.result())


def test_a_volume_that_is_gone_is_told_as_ever(volumes: Volumes, room: Pressroom) -> None:
    shutil.rmtree(volumes.processed)

    with pytest.raises(VolumeMissing):
        put(room, 0)

    assert not (volumes.processed / STAGING).exists()
