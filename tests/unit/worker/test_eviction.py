"""Removing files that a worker may be about to use."""

from __future__ import annotations

import errno
import os

import pytest

from producer.content_key import content_key
from producer.volumes import Volumes
from tests.unit.worker.shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone
from worker.eviction import EntryShelf, Leavings, UploadShelf
from worker.store import MANIFEST

OTHER = content_key(text="another")


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    """A store with one entry."""
    shelf = Shelf(tmp_path / "farm")
    keep(shelf, KEY)
    return shelf


@pytest.fixture
def entries(shelf) -> EntryShelf:
    """What may be removed of it."""
    return EntryShelf(shelf.volumes)


def keep(shelf: Shelf, key: str) -> None:
    with shelf.store.stage(key, WAV, RATE_HZ) as staged:
        staged.write(tone(), RATE_HZ)
        staged.commit(FACTS)


def test_an_entry_has_its_size_and_the_time_of_its_last_use(shelf, entries):
    directory = shelf.volumes.entry(KEY)
    os.utime(directory / MANIFEST, (1_000, 1_000))

    [thing] = entries.things()

    assert (thing.name, thing.used_s) == (KEY, 1_000)
    assert thing.size_bytes == sum(file.stat().st_size for file in directory.iterdir())


def test_an_entry_that_nobody_uses_is_removed_whole(shelf, entries):
    keep(shelf, OTHER)
    [thing] = [thing for thing in entries.things() if thing.name == KEY]

    assert entries.remove(thing)

    assert shelf.store.find(KEY, "wav") is None
    assert shelf.store.find(OTHER, "wav") is not None
    assert list((shelf.volumes.processed / ".staging").iterdir()) == []
    assert not entries.remove(thing)


def test_an_entry_that_a_job_has_found_since_stays(shelf, entries):
    os.utime(shelf.volumes.entry(KEY) / MANIFEST, (1_000, 1_000))
    [thing] = entries.things()

    found = shelf.store.find(KEY, "wav")

    assert not entries.remove(thing)
    assert shelf.store.verify(found)


def test_an_entry_that_goes_while_a_job_looks_at_it_is_not_found(shelf, entries, monkeypatch):
    [thing] = entries.things()
    touch = os.utime

    def removed_first(path):
        assert entries.remove(thing)
        touch(path)

    monkeypatch.setattr("worker.store.os.utime", removed_first)

    assert shelf.store.find(KEY, "wav") is None


def test_an_entry_that_is_made_again_while_it_goes_stays(shelf, entries, monkeypatch):
    [thing] = entries.things()
    os.utime(shelf.volumes.entry(KEY) / MANIFEST, (2_000, 2_000))
    measured = __import__("worker.eviction", fromlist=["_measured"])._measured

    def made_again(path):
        keep(shelf, KEY)
        return measured(path)

    monkeypatch.setattr("worker.eviction._measured", made_again)

    assert not entries.remove(thing)
    assert shelf.store.verify(shelf.store.find(KEY, "wav"))


def test_a_volume_that_may_only_be_read_still_gives_its_entries(shelf, monkeypatch):
    def read_only(path):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("worker.store.os.utime", read_only)

    assert shelf.store.find(KEY, "wav") is not None


def test_an_upload_that_is_brought_again_stays(tmp_path):
    volumes = Volumes(tmp_path)
    file = volumes.uploads / KEY[:2] / KEY
    file.parent.mkdir(parents=True)
    file.write_bytes(b"audio")
    os.utime(file, (1_000, 1_000))
    uploads = UploadShelf(volumes)
    [thing] = uploads.things()

    os.utime(file)
    assert not uploads.remove(thing)
    assert file.read_bytes() == b"audio"
    [thing] = uploads.things()
    assert uploads.remove(thing)
    assert list(uploads.things()) == []


def test_leavings_are_removed_without_following_links(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"precious")
    directory = tmp_path / "temp"
    (directory / "attempt" / "deep").mkdir(parents=True)
    (directory / "attempt" / "deep" / "piece").write_bytes(b"12345")
    (directory / "link").symlink_to(elsewhere)
    (directory / "attempt" / "link").symlink_to(elsewhere)
    leavings = Leavings(directory)

    found = {thing.name: thing for thing in leavings.things()}
    assert set(found) == {"attempt", "link"}
    assert all(leavings.remove(thing) for thing in found.values())

    assert list(directory.iterdir()) == []
    assert (elsewhere / "precious").read_bytes() == b"precious"
