"""A volume that is full, read-only, or not where `temp` is: told, nothing lost, nothing half."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from evidence import assert_settled, staged

from producer import JobState
from tests.conftest import missing

pytestmark = [pytest.mark.service, pytest.mark.slow]

#: Room for some of the jobs, not for all, and for all.
SMALL, LARGE = "size=1m", "size=64m"

JOBS = 40


def mount(where: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def remount(home: Path) -> Iterator[Callable[[str], None]]:
    """`processed` and `temp` are filesystems of their own; `remount("ro")` changes the first."""
    processed, temp = home / "processed", home / "temp"
    mounted = []
    for where in (processed, temp):
        where.mkdir(parents=True)
        if not mount(where, SMALL):
            missing("the right to mount a filesystem")
        mounted.append(where)
    yield lambda options: subprocess.run(
        ["mount", "-o", f"remount,{options}", str(processed)], check=True
    )
    for where in mounted:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@pytest.mark.parametrize(
    ("fault", "repair", "reason"),
    [(SMALL, LARGE, "volume_full"), ("ro", f"rw,{LARGE}", "volume_read_only")],
    ids=["full", "read-only"],
)
def test_jobs_fail_with_the_reason_and_are_done_when_the_volume_is_mended(
    worker, farm, home, remount, report, fault, repair, reason
):
    worker(fake_speed=0)
    began_s = time.monotonic()
    remount(fault)
    jobs = farm.submit_many(f"line number {n:02}, as long as it can be" for n in range(JOBS))
    states = [job.wait(60) for job in jobs]
    failed = [job for job, state in zip(jobs, states, strict=True) if state is JobState.FAILED]

    assert set(states) <= {JobState.DONE, JobState.FAILED}
    assert {job.row().reason for job in failed} == {reason}
    assert reason == "volume_read_only" or states.count(JobState.DONE) > 0
    assert reason == "volume_read_only" or staged(home) == []

    remount(repair)
    assert all(job.retry() for job in failed)
    assert {job.wait(60) for job in failed} == {JobState.DONE}
    assert_settled(farm, jobs)
    assert staged(home) == []
    took_s = time.monotonic() - began_s
    report(
        f"`{reason}` for a while, then `retry`; `temp` elsewhere",
        tried=JOBS,
        lost=0,
        twice=0,
        rerun=len(failed),
        seconds=took_s,
    )
