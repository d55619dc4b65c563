"""A volume that is full or read-only: the job says so, nothing leaks, the worker lives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producer import JobFailed, JobState
from tests.conftest import missing

pytestmark = pytest.mark.service

#: Room for a few short files of the fake engine, not for a long one.
VOLUME_BYTES = 1 << 20


@pytest.fixture
def remount(home: Path) -> Iterator[Callable[[str], None]]:
    """`processed` as a small filesystem of its own, mounted again with other options."""
    processed = home / "processed"
    processed.mkdir(parents=True)

    def mount(options: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(processed)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if mount(f"size={VOLUME_BYTES}").returncode != 0:
        missing("the right to mount a filesystem")
    yield lambda options: mount(f"remount,{options}").check_returncode()
    subprocess.run(["umount", "--lazy", str(processed)], check=True)


def test_a_full_volume_fails_the_job_leaves_no_trace_and_later_jobs_succeed(
    start_worker, farm, home, remount
):
    start_worker()

    with pytest.raises(JobFailed, match="volume_full"):
        farm.submit("far too long for such a small volume, " * 40).result(30)

    assert list((home / "processed" / ".staging").iterdir()) == []
    assert farm.submit("short").wait(30) is JobState.DONE


def test_a_read_only_volume_fails_the_job_and_the_worker_goes_on_when_it_is_mended(
    start_worker, farm, remount
):
    start_worker()
    remount("ro")

    with pytest.raises(JobFailed, match="volume_read_only"):
        farm.submit("cannot be kept").result(30)

    remount("rw")
    assert farm.submit("can be kept").wait(30) is JobState.DONE
