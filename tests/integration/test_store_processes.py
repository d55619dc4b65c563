"""One volume under several workers: processes that race, die, and run out of disk."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import pytest
import soundfile

from producer.content_key import content_key
from producer.job import OutputSpec
from producer.volumes import Volumes
from worker.durability import GroupCommit, sync_of
from worker.errors import VolumeFull, VolumeReadOnly
from worker.manifest import Facts
from worker.store import STAGING, Store

RATE_HZ = 24_000
WORKERS = 3
KEYS = [content_key(number=number) for number in range(12)]
FACTS = Facts(engine="fake", model_revision="1", created_at=0.0, job={}, timings_s={})

#: A tmpfs of this size is full after 2.7 s of audio at 24 kHz.
SMALL_BYTES = 128 * 1024


def samples_of(number: int) -> np.ndarray:
    """Another length for each number, so that it is seen who wrote an entry."""
    return np.full(RATE_HZ // 10 + number, 0.25, dtype=np.float32)


def work(home: str, number: int) -> list[tuple[str, str]]:
    """What one worker does: every key; returns which path and which hash it was given."""
    volumes = Volumes(Path(home))
    durability = GroupCommit(sync_of(volumes.processed))
    store = Store(volumes, durability)
    store.prepare()
    given = []
    for key in KEYS:
        with store.stage(key, OutputSpec(), RATE_HZ) as staged:
            staged.write(samples_of(number), RATE_HZ)
            entry = staged.commit(FACTS)
        given.append((entry.path, entry.manifest.sha256))
    durability.close()
    return given


def die_while_writing(home: str) -> None:
    """What a worker leaves that is killed in the middle of a job."""
    store = Store(Volumes(Path(home)), GroupCommit(sync_of(Path(home))))
    store.prepare()
    with store.stage(KEYS[0], OutputSpec(), RATE_HZ) as staged:
        staged.write(samples_of(0), RATE_HZ)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def processes() -> Iterator[Pool]:
    """Workers, started freshly as the farm starts them."""
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        yield pool


@pytest.fixture
def volumes(home: Path) -> Volumes:
    """The farm's directories."""
    return Volumes(home)


def store_on(volumes: Volumes) -> Store:
    return Store(volumes, GroupCommit(sync_of(volumes.processed)))


def put(store: Store, key: str, seconds: float = 0.5) -> None:
    with store.stage(key, OutputSpec(), RATE_HZ) as staged:
        staged.write(np.full(round(RATE_HZ * seconds), 0.25, dtype=np.float32), RATE_HZ)
        staged.commit(FACTS)


@pytest.mark.parametrize("broken_before", [False, True])
def test_processes_that_write_the_same_keys_agree_on_every_entry(
    volumes: Volumes, processes: Pool, broken_before: bool
) -> None:
    store = store_on(volumes)
    if broken_before:
        store.prepare()
        for key in KEYS:
            put(store, key)
            (volumes.entry(key) / "audio.wav").unlink()

    given = processes.starmap(work, [(str(volumes.home), number) for number in range(WORKERS)])

    assert all(one == given[0] for one in given)
    for key, (path, sha256) in zip(KEYS, given[0], strict=True):
        entry = store.find(key, "wav")
        assert entry is not None
        assert (entry.path, entry.manifest.sha256) == (path, sha256)
        assert store.verify(entry)
        assert soundfile.info(volumes.locate(path)).frames == entry.manifest.samples
    assert list((volumes.processed / STAGING).iterdir()) == []


def test_a_worker_killed_in_a_job_leaves_nothing_that_matters(volumes: Volumes) -> None:
    killed = multiprocessing.get_context("spawn").Process(
        target=die_while_writing, args=(str(volumes.home),)
    )
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    (left_over,) = (volumes.processed / STAGING).iterdir()

    store = store_on(volumes)
    store.prepare()
    assert store.find(KEYS[0], "wav") is None
    put(store, KEYS[0])

    assert store.find(KEYS[0], "wav") is not None
    # Young enough to be a living worker's.
    assert left_over.exists()


@pytest.fixture
def remount(home: Path) -> Iterator[Callable[[str], None]]:
    """A small filesystem at the farm's home: `remount("ro")` makes it read-only."""

    def mount(*options: str) -> int:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(home)]
        return subprocess.run(command, check=False, capture_output=True).returncode

    home.mkdir()
    if os.geteuid() != 0 or mount(f"size={SMALL_BYTES}") != 0:
        pytest.skip("only root may mount a filesystem")
    yield lambda option: subprocess.run(["mount", "-o", f"remount,{option}", home], check=True)
    subprocess.run(["umount", "--lazy", home], check=True)


def test_a_disk_that_is_really_full_is_told_and_cleared(
    volumes: Volumes, remount: Callable[[str], None]
) -> None:
    store = store_on(volumes)
    store.prepare()

    with pytest.raises(VolumeFull):
        put(store, KEYS[0], seconds=10)

    assert list((volumes.processed / STAGING).iterdir()) == []
    put(store, KEYS[0], seconds=1)
    assert store.find(KEYS[0], "wav") is not None


def test_a_disk_that_became_read_only_is_told_and_can_still_be_read(
    volumes: Volumes, remount: Callable[[str], None]
) -> None:
    store = store_on(volumes)
    store.prepare()
    put(store, KEYS[0])
    remount("ro")

    with pytest.raises(VolumeReadOnly):
        store.prepare()
    with pytest.raises(VolumeReadOnly):
        put(store, KEYS[1])

    entry = store.find(KEYS[0], "wav")
    assert entry is not None
    assert store.verify(entry)
