"""The store when something goes wrong: it says what, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from shelf import FACTS, KEY, RATE_HZ, WAV, Shelf, tone

from producer.job import AudioFormat, OutputSpec
from producer.state import Reason
from producer.volumes import Volumes
from worker.durability import Volatile
from worker.engine.request import Samples
from worker.errors import (
    BadAudio,
    StoreFailed,
    VolumeFull,
    VolumeMissing,
    VolumeReadOnly,
    store_error,
)
from worker.store import STALE_H, Store

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty one."""
    return Shelf(tmp_path / "home")


# Jobs that come to nothing


def test_leaving_without_a_commit_leaves_nothing(shelf: Shelf) -> None:
    with shelf.store.stage(KEY, WAV, RATE_HZ) as staged:
        staged.write(tone(), RATE_HZ)
        assert len(shelf.staged) == 1

    assert shelf.staged == []
    assert shelf.entries == []


def test_the_bodys_own_error_comes_through_unchanged(shelf: Shelf) -> None:
    with (
        pytest.raises(ConnectionError, match="redis"),
        shelf.store.stage(KEY, WAV, RATE_HZ) as staged,
    ):
        staged.write(tone(), RATE_HZ)
        raise ConnectionError("redis is gone")

    assert shelf.staged == []


def test_a_chunk_of_another_rate_is_refused(shelf: Shelf) -> None:
    with (
        pytest.raises(BadAudio, match="22050 Hz in a job of 24000 Hz"),
        shelf.store.stage(KEY, WAV, RATE_HZ) as staged,
    ):
        staged.write(tone(), RATE_HZ)
        staged.write(tone(), 22_050)

    assert shelf.staged == []


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0, dtype=np.float32), np.full(10, np.nan, dtype=np.float32)],
    ids=["no samples", "no numbers"],
)
def test_no_entry_is_made_of_what_is_no_audio(shelf: Shelf, samples: Samples) -> None:
    with pytest.raises(BadAudio) as raised:
        shelf.put(samples)

    assert raised.value.reason is Reason.ENGINE_FAILED
    assert shelf.entries == []
    assert shelf.staged == []


# What dead workers left


def test_what_a_killed_worker_left_matters_to_nobody(shelf: Shelf) -> None:
    killed = shelf.store.stage(KEY, WAV, RATE_HZ)
    killed.__enter__().write(tone(), RATE_HZ)
    (left_over,) = shelf.staged

    entry = shelf.put()

    assert shelf.store.find(KEY, "wav") == entry
    assert shelf.staged == [left_over]


def age(staged: Path, hours: float) -> None:
    for path in (*staged.iterdir(), staged):
        changed_s = path.stat().st_mtime - hours * 3600
        os.utime(path, (changed_s, changed_s))


def test_prepare_removes_what_dead_workers_left_and_spares_the_living(shelf: Shelf) -> None:
    for name, hours in (("dead", STALE_H + 1), ("slow", STALE_H - 1), ("writing", STALE_H + 1)):
        (shelf.staging / name).mkdir()
        (shelf.staging / name / "audio.wav").touch()
        age(shelf.staging / name, hours)
    (shelf.staging / "writing" / "audio.wav").write_bytes(b"more")
    (shelf.staging / "no directory").touch()

    shelf.store.prepare()

    assert {path.name for path in shelf.staged} == {"slow", "writing", "no directory"}


def test_prepare_can_be_repeated_and_touches_no_entry(shelf: Shelf) -> None:
    entry = shelf.put()

    shelf.store.prepare()

    assert shelf.store.find(KEY, "wav") == entry
    assert shelf.staged == []


# Volumes that fail


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size_bytes`: a disk that gets full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size_bytes", [100, 4096])
def test_a_volume_that_gets_full_is_told_and_cleared(
    shelf: Shelf, format: AudioFormat, size_bytes: int
) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, RATE_HZ * 2).astype(np.float32)
    output = OutputSpec(format=format)

    with largest_file(size_bytes), pytest.raises(VolumeFull) as raised:
        shelf.put(noise, output=output)

    assert raised.value.reason is Reason.VOLUME_FULL
    assert shelf.staged == []
    assert shelf.entries == []
    assert shelf.put(noise, output=output).manifest.samples == len(noise)


def test_a_volume_that_is_not_there_is_told_and_not_made(shelf: Shelf) -> None:
    shutil.rmtree(shelf.volumes.processed)

    with pytest.raises(VolumeMissing) as raised:
        shelf.put()

    assert raised.value.reason is Reason.VOLUME_MISSING
    assert not shelf.volumes.processed.exists()


def test_a_volume_that_goes_away_before_the_commit_is_told(shelf: Shelf) -> None:
    with pytest.raises(VolumeMissing), shelf.store.stage(KEY, WAV, RATE_HZ) as staged:
        staged.write(tone(), RATE_HZ)
        shutil.rmtree(shelf.volumes.processed)
        staged.commit(FACTS)

    assert not shelf.volumes.processed.exists()


def test_a_lost_staging_directory_is_made_again(shelf: Shelf) -> None:
    shutil.rmtree(shelf.staging)

    entry = shelf.put()

    assert shelf.store.find(KEY, "wav") == entry


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a directory nobody can write")
def test_a_volume_that_cannot_be_written_is_told_at_the_start() -> None:
    store = Store(Volumes(Path("/sys/kernel")), Volatile())

    with pytest.raises(VolumeReadOnly) as raised:
        store.prepare()

    assert raised.value.reason is Reason.VOLUME_READ_ONLY


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, VolumeMissing),
        (errno.ESTALE, VolumeMissing),
        (errno.EROFS, VolumeReadOnly),
        (errno.EACCES, VolumeReadOnly),
        (errno.ENOSPC, VolumeFull),
        (errno.EDQUOT, VolumeFull),
        (errno.EIO, StoreFailed),
    ],
)
def test_a_failing_flush_leaves_no_entry_and_says_why(
    shelf: Shelf, number: int, kind: type[StoreFailed]
) -> None:
    shelf.disk.fails = OSError(number, os.strerror(number))

    with pytest.raises(StoreFailed, match=os.strerror(number)) as raised:
        shelf.put()

    assert type(raised.value) is kind
    assert shelf.staged == []
    assert shelf.entries == []


def test_an_error_without_a_number_is_told_too() -> None:
    error = store_error(OSError("odd"), Path("/processed"))

    assert type(error) is StoreFailed
    assert "/processed: odd" in str(error)
