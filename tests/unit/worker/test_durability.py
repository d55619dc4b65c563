"""Group commit: who is told what, and when."""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.durability import GroupCommit
from worker.errors import StoreFailed

#: Longer than any of these waits can honestly take.
LIMIT_S = 30


@dataclass
class Tick:
    """One sync as it happened; times are of a clock that counts events."""

    paths: list[Path]
    started: int
    ended: int


class FakeDisk:
    """Remembers every sync. `gate` holds syncs up; the nth fails if `fails` says so."""

    def __init__(self, fails: Sequence[bool] = ()) -> None:
        self.ticks: list[Tick] = []
        self.clock = itertools.count()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.closed = False
        self._fails = iter(fails)

    def sync(self, paths: Sequence[Path]) -> None:
        tick = Tick(list(paths), started=next(self.clock), ended=-1)
        self.ticks.append(tick)
        self.entered.release()
        assert self.gate.wait(LIMIT_S)
        tick.ended = next(self.clock)
        if next(self._fails, False):
            raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        self.closed = True

    def tick_of(self, path: Path) -> Tick:
        (tick,) = (tick for tick in self.ticks if path in tick.paths)
        return tick


@pytest.fixture
def disk() -> FakeDisk:
    """A disk that never fails."""
    return FakeDisk()


@pytest.fixture
def commit(disk: FakeDisk) -> Iterator[GroupCommit]:
    """A group commit on that disk."""
    commit = GroupCommit(disk)
    yield commit
    disk.gate.set()
    commit.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Task threads."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


def gather(commit: GroupCommit, count: int) -> None:
    """Wait until so many wait for the next sync."""
    turn = threading.Event()
    for _ in range(LIMIT_S * 1000):
        if commit.waiting == count:
            return
        turn.wait(0.001)
    pytest.fail(f"{commit.waiting} wait, not {count}")


def paths(count: int, name: str = "entry") -> list[Path]:
    return [Path(f"/{name}{number}") for number in range(count)]


def test_who_arrives_during_a_sync_shares_the_next_one(
    disk: FakeDisk, commit: GroupCommit, threads: ThreadPoolExecutor
) -> None:
    disk.gate.clear()
    first = threads.submit(commit.flush, Path("/first"))
    assert disk.entered.acquire(timeout=LIMIT_S)

    later = [threads.submit(commit.flush, path) for path in paths(10)]
    gather(commit, 10)
    assert not first.done()
    assert not any(flush.done() for flush in later)
    disk.gate.set()
    wait([first, *later], LIMIT_S)

    assert [len(tick.paths) for tick in disk.ticks] == [1, 10]
    assert set(disk.ticks[1].paths) == set(paths(10))


def test_one_alone_is_synced_at_once(disk: FakeDisk, commit: GroupCommit) -> None:
    commit.flush(Path("/a"))
    commit.flush(Path("/b"))

    assert [tick.paths for tick in disk.ticks] == [[Path("/a")], [Path("/b")]]


def test_what_is_published_is_durable_before_it_is_moved_and_its_name_behind_that(
    disk: FakeDisk, commit: GroupCommit
) -> None:
    moved: list[int] = []

    def move() -> Path:
        moved.append(next(disk.clock))
        return Path("/target")

    commit.publish(Path("/staged"), move)

    staged, target = disk.ticks
    assert (staged.paths, target.paths) == ([Path("/staged")], [Path("/target")])
    assert staged.ended < moved[0] < target.started < target.ended


def test_a_move_that_fails_is_told_to_who_wanted_it_and_to_nobody_else(
    disk: FakeDisk, commit: GroupCommit
) -> None:
    def move() -> Path:
        raise FileNotFoundError("no such volume")

    with pytest.raises(FileNotFoundError, match="no such volume"):
        commit.publish(Path("/staged"), move)
    commit.flush(Path("/next"))

    assert [tick.paths for tick in disk.ticks] == [[Path("/staged")], [Path("/next")]]


def test_nothing_is_moved_that_could_not_be_made_durable() -> None:
    disk = FakeDisk([True])
    commit = GroupCommit(disk)

    with pytest.raises(OSError, match="/staged"):
        commit.publish(Path("/staged"), lambda: pytest.fail("it was moved"))

    commit.close()


@settings(max_examples=15, deadline=None)
@given(
    workers=st.integers(1, 24),
    rounds=st.integers(1, 8),
    fails=st.lists(st.booleans(), max_size=30),
)
def test_nobody_returns_before_a_sync_that_began_after_the_call(
    workers: int, rounds: int, fails: list[bool]
) -> None:
    disk = FakeDisk(fails)
    commit = GroupCommit(disk)

    def flush(path: Path) -> tuple[Path, int, int, bool]:
        called = next(disk.clock)
        try:
            commit.flush(path)
        except OSError as error:
            assert (error.errno, error.filename) == (errno.ENOSPC, str(path))
            return path, called, next(disk.clock), True
        return path, called, next(disk.clock), False

    def work(name: str) -> list[tuple[Path, int, int, bool]]:
        return [flush(path) for path in paths(rounds, name)]

    with ThreadPoolExecutor(workers) as pool:
        seen = [
            flushed
            for flushes in pool.map(work, [f"w{number}-" for number in range(workers)])
            for flushed in flushes
        ]
    commit.close()

    failed = {id(tick) for tick, fail in zip(disk.ticks, fails, strict=False) if fail}
    assert sum(len(tick.paths) for tick in disk.ticks) == len(seen) == workers * rounds
    for path, called, returned, was_told_of_failure in seen:
        tick = disk.tick_of(path)
        assert called < tick.started < tick.ended < returned
        assert was_told_of_failure == (id(tick) in failed)


def test_a_broken_sync_fails_its_own_group_and_the_thread_goes_on() -> None:
    class Broken(FakeDisk):
        def sync(self, paths: Sequence[Path]) -> None:
            super().sync(paths)
            if paths == [Path("/bad")]:
                raise ZeroDivisionError

    commit = GroupCommit(Broken())

    with pytest.raises(OSError, match="ZeroDivisionError") as raised:
        commit.flush(Path("/bad"))
    commit.flush(Path("/good"))
    commit.close()

    assert raised.value.errno == errno.EIO


def test_close_serves_those_who_wait_and_refuses_those_who_come(
    disk: FakeDisk, commit: GroupCommit, threads: ThreadPoolExecutor
) -> None:
    disk.gate.clear()
    running: list[Future[None]] = [threads.submit(commit.flush, Path("/running"))]
    assert disk.entered.acquire(timeout=LIMIT_S)
    running += [threads.submit(commit.flush, path) for path in paths(3)]
    gather(commit, 3)

    closing = threads.submit(commit.close)
    disk.gate.set()
    closing.result(LIMIT_S)

    assert [flush.exception(LIMIT_S) for flush in running] == [None] * 4
    assert disk.closed
    with pytest.raises(StoreFailed, match="closed"):
        commit.flush(Path("/late"))


def test_what_never_flushed_can_be_closed_twice(disk: FakeDisk) -> None:
    commit = GroupCommit(disk)

    commit.close()
    commit.close()

    assert disk.closed
    assert disk.ticks == []
