"""What makes files durable on a real disk: which calls, of what, in which order."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from worker.durability import FileSync, FilesystemSync, GroupCommit, Sync, Volatile, sync_of

#: Longer than any of these waits can honestly take.
LIMIT_S = 30


def test_volatile_does_nothing_where_nothing_is(tmp_path: Path) -> None:
    volatile = Volatile()

    volatile.flush(tmp_path / "absent")
    volatile.close()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [sync_of, FileSync])
def test_a_real_disk_syncs_again_and_again(tmp_path: Path, make: Callable[[Path], Sync]) -> None:
    commit = GroupCommit(make(tmp_path))

    def store(name: int) -> None:
        entry = tmp_path / f"shard{name % 3}" / str(name)
        entry.mkdir(parents=True)
        (entry / "audio").write_bytes(b"audio")
        commit.flush(entry)

    with ThreadPoolExecutor(16) as threads:
        flushes = [threads.submit(store, name) for name in range(40)]
        wait(flushes, LIMIT_S)
    commit.close()

    assert [flush.exception() for flush in flushes] == [None] * 40


@pytest.mark.parametrize("make", [sync_of, FileSync])
def test_a_missing_directory_is_an_error_that_heals(
    tmp_path: Path, make: Callable[[Path], Sync]
) -> None:
    root = tmp_path / "processed"
    commit = GroupCommit(make(root))

    with pytest.raises(FileNotFoundError):
        commit.flush(root / "entry")
    (root / "entry").mkdir(parents=True)
    commit.flush(root / "entry")
    commit.close()


@pytest.mark.skipif(not isinstance(sync_of(Path("/")), FilesystemSync), reason="needs syncfs")
def test_a_new_directory_at_the_root_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "processed"
    opened: list[Path] = []
    really_open = os.open
    monkeypatch.setattr(
        "worker.durability.os.open",
        lambda path, flags: opened.append(path) or really_open(path, flags),
    )
    sync = sync_of(root)

    root.mkdir()
    sync.sync([root])
    sync.sync([root])
    root.rename(tmp_path / "old")
    root.mkdir()
    sync.sync([root])
    sync.close()

    assert opened == [root, root]


def test_file_sync_makes_the_files_durable_before_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = tmp_path / "ab" / "entry"
    entry.mkdir(parents=True)
    for name in ("audio.wav", "job.json"):
        (entry / name).touch()
    synced: list[int] = []
    monkeypatch.setattr(
        "worker.durability.os.fsync", lambda number: synced.append(os.fstat(number).st_ino)
    )

    FileSync(tmp_path).sync([entry, entry])

    files = {path.stat().st_ino for path in entry.iterdir()}
    names = {path.stat().st_ino for path in (entry, entry.parent, tmp_path)}
    assert set(synced[:2]) == files
    assert set(synced[2:]) == names
    assert len(synced) == 5
