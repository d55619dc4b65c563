"""The pressroom: who makes a file, and when there is one press more."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone

from producer.content_key import content_key
from worker import pressroom
from worker.config import WorkerSettings
from worker.engine.request import Samples
from worker.errors import BadAudio, StoreFailed
from worker.null_store import NullStore
from worker.press_order import Order
from worker.pressroom import Pressroom, presses_of
from worker.staged import Entry


class Puppet:
    """Has the face of a `Press`: it is ready, and fulfils orders as its test wants."""

    made: list[Puppet]

    def __init__(self, home: Path) -> None:
        self.is_ready = True
        self.in_hand = 0
        self.orders: list[tuple[Order, Samples]] = []
        self.answer: Entry | None = None
        self.has_room = True
        self.is_closed = False
        self.made.append(self)

    def order(self, order: Order, blocks: Sequence[Samples]) -> Future[Entry | None] | None:
        if not self.has_room:
            return None
        self.orders.append((order, np.concatenate(blocks)))
        promise: Future[Entry | None] = Future()
        promise.set_result(self.answer)
        return promise

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty one."""
    return Shelf(tmp_path / "home")


@pytest.fixture
def presses(monkeypatch: pytest.MonkeyPatch) -> list[Puppet]:
    """The presses that were started."""
    Puppet.made = []
    monkeypatch.setattr(pressroom, "Press", Puppet)
    return Puppet.made


@pytest.fixture
def room(shelf: Shelf, presses: list[Puppet]) -> Pressroom:
    """Of at most two presses, one for every two files in hand."""
    return Pressroom(shelf.store, shelf.volumes.home, most=2, files_each=2)


@pytest.fixture
def press(room: Pressroom, presses: list[Puppet]) -> Puppet:
    """One that was started because two files were in hand."""
    with room.place(), room.place():
        pass
    return presses[0]


def put(room: Pressroom, samples: Samples | None = None, rate_hz: int = RATE_HZ) -> Entry:
    with room.stage(KEY, WAV, RATE_HZ) as draft:
        for block in np.array_split(tone() if samples is None else samples, 3):
            draft.write(block, rate_hz)
        return draft.commit(FACTS)


def test_a_few_files_are_made_by_the_worker_itself(
    shelf: Shelf, room: Pressroom, presses: list[Puppet]
) -> None:
    entry = put(room)

    assert shelf.store.find(KEY, "wav") == entry
    assert presses == []


@pytest.mark.parametrize(("in_hand", "started"), [(1, 0), (2, 1), (3, 1), (4, 2), (9, 2)])
def test_there_is_one_press_more_for_so_many_files_in_hand(
    room: Pressroom, presses: list[Puppet], in_hand: int, started: int
) -> None:
    with ExitStack() as files:
        for _ in range(in_hand):
            files.enter_context(room.place())

    assert len(presses) == started


def test_a_short_file_is_ordered_from_a_press(shelf: Shelf, room: Pressroom, press: Puppet) -> None:
    press.answer = shelf.put(key=content_key(text="pressed"))

    entry = put(room)

    ((order, samples),) = press.orders
    assert entry == press.answer
    assert order == Order(KEY, WAV, RATE_HZ, FACTS)
    assert np.array_equal(samples, tone())
    assert shelf.store.find(KEY, "wav") is None


def test_the_press_with_the_least_to_do_gets_the_next_order(
    room: Pressroom, press: Puppet, presses: list[Puppet]
) -> None:
    with room.place(), room.place(), room.place(), room.place():
        pass
    press.in_hand = 3

    put(room)

    assert [len(one.orders) for one in presses] == [0, 1]


@pytest.mark.parametrize("trouble", ["not ready", "no room", "not fulfilled"])
def test_what_a_press_does_not_make_its_owner_makes(
    shelf: Shelf, room: Pressroom, press: Puppet, trouble: str
) -> None:
    press.is_ready = trouble != "not ready"
    press.has_room = trouble != "no room"

    entry = put(room)

    assert len(press.orders) == (trouble == "not fulfilled")
    assert shelf.store.find(KEY, "wav") == entry
    assert shelf.store.verify(entry)
    assert shelf.staged == []


def test_a_long_file_is_written_as_it_comes(
    shelf: Shelf, room: Pressroom, press: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressroom, "SHORT_BYTES", 4 * RATE_HZ)
    press.answer = shelf.put(key=content_key(text="pressed"))

    entry = put(room, tone(2.0))

    assert press.orders == []
    assert entry.manifest.duration_s == 2.0
    assert shelf.store.verify(entry)


@pytest.mark.parametrize(
    ("samples", "rate_hz"),
    [(tone(), 22_050), (np.full(9, np.nan, np.float32), RATE_HZ), (tone(0), RATE_HZ)],
    ids=["another rate", "no numbers", "no samples"],
)
def test_what_is_no_audio_is_refused(
    shelf: Shelf, room: Pressroom, press: Puppet, samples: Samples, rate_hz: int
) -> None:
    with pytest.raises(BadAudio):
        put(room, samples, rate_hz)

    assert shelf.staged == []
    assert shelf.entries == []


def test_a_volume_that_is_not_there_is_told_before_anything_is_computed(
    shelf: Shelf, room: Pressroom
) -> None:
    shutil.rmtree(shelf.volumes.processed)

    with pytest.raises(StoreFailed, match="processed"), room.stage(KEY, WAV, RATE_HZ):
        pytest.fail("the engine would have been asked")

    assert not shelf.volumes.processed.exists()


def test_leaving_without_a_commit_leaves_nothing(
    shelf: Shelf, room: Pressroom, press: Puppet
) -> None:
    with room.stage(KEY, WAV, RATE_HZ) as draft:
        draft.write(tone(), RATE_HZ)

    assert press.orders == []
    assert shelf.staged == []


def test_no_press_is_started_once_the_room_is_closed(
    room: Pressroom, press: Puppet, presses: list[Puppet]
) -> None:
    room.close()

    with room.place(), room.place(), room.place(), room.place():
        pass

    assert press.is_closed
    assert presses == [press]


def test_there_are_as_many_presses_as_are_wished() -> None:
    assert presses_of(WorkerSettings(presses=0)) == 0
    assert presses_of(WorkerSettings(presses=5)) == 5
    assert 2 <= presses_of(WorkerSettings()) <= pressroom.MOST_PRESSES


def test_there_is_none_where_nothing_is_kept() -> None:
    assert presses_of(WorkerSettings(store="off", presses=5)) == 0


def test_where_nothing_is_kept_a_draft_has_the_facts_alone(tmp_path: Path) -> None:
    entry = put(Pressroom(NullStore(), tmp_path, most=0))

    assert entry.path == ""
    assert entry.manifest.duration_s == 0.5
