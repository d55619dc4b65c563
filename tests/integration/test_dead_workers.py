"""The supervisor with real workers: who dies is replaced, and what it held runs again at once."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from producer import JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.conftest import eventually
from tests.integration.fault_report import file_row
from tests.integration.up_process import LIMIT_S, Up, pid_of, processes_of

pytestmark = pytest.mark.service

#: Far below the lease of 90 s: what runs again within it was given back, and did not run out.
GIVEN_BACK_S = 40.0


@pytest.fixture
def gpus(tmp_path) -> Path:
    """Two GPUs that are fit, and one that is not."""
    fit = {"name": "Fake 24", "memory_gib": 23.6, "capability": "8.6", "temperature_c": 61}
    file = tmp_path / "gpus.json"
    file.write_text(
        json.dumps([{**fit, "uuid": "GPU-a"}, {**fit, "uuid": "GPU-b"}, {**fit, "memory_gib": 8}])
    )
    return file


def client(up: Up) -> VoiceFarm:
    return VoiceFarm(EmbeddedBroker.find_url(up.home), home=up.home)


def environment_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_jobs_of_a_killed_worker_run_again_at_once_and_each_is_done_once(
    start_up, home, workers
):
    up = start_up(
        f"--workers-per-gpu={workers}",
        VOICEFARM_SLOTS="8", VOICEFARM_INTERACTIVE_SHARE="0", VOICEFARM_FAKE_SPEED="0.2",
    ).ready()  # fmt: skip
    with client(up) as farm:
        eventually(lambda: len(farm.workers(0.3)) == workers, LIMIT_S)
        jobs = farm.submit_many(f"line number {n}" for n in range(8))
        eventually(lambda: all(job.status is JobState.RUNNING for job in jobs))
        node = jobs[0].row().node
        lost = [job for job in jobs if job.row().node == node]

        os.kill(pid_of(home, f" worker -n {node} "), signal.SIGKILL)

        killed_s = time.monotonic()
        eventually(lambda: all(job.row().attempts == 2 for job in lost), GIVEN_BACK_S)
        took_s = time.monotonic() - killed_s
        assert [job.wait(180) for job in jobs] == [JobState.DONE] * 8
        assert len(list((home / "processed").glob("??/*/audio.wav"))) == 8
        eventually(lambda: node in farm.workers(0.3), LIMIT_S)
    assert f"restart {node}: {node} ended with -9" in up.told
    beside = "beside another worker" if workers > 1 else "another worker started first"
    name = f"kill -9 under `voicefarm up`, {beside}"
    file_row(name, tried=8, lost=0, twice=0, rerun=len(lost), seconds=took_s)


def test_each_gpu_has_a_worker_that_sees_no_other_and_a_small_one_has_none(start_up, home, gpus):
    up = start_up("--gpus=all", VOICEFARM_FAKE_GPUS=str(gpus)).ready()

    with client(up) as farm:
        facts = eventually(lambda: len(found := farm.workers(0.3)) == 2 and found, LIMIT_S)
    names = {re.sub("@.*", "", node): told for node, told in facts.items()}
    assert set(names) == {"gpu0", "gpu1"}
    for name, uuid in (("gpu0", "GPU-a"), ("gpu1", "GPU-b")):
        assert names[name]["gpu"]["uuid"] == uuid
        assert names[name]["gpu"]["temperature_c"] == 61
        assert environment_of(names[name]["pid"])["CUDA_VISIBLE_DEVICES"] == uuid
    assert re.search(r"not used: GPU 2, .* 8.0 GiB, .*--allow-small-gpu", up.told)


def test_a_gpu_that_is_not_there_is_said_before_anything_starts(start_up, home, gpus):
    up = start_up("--gpus=0,7", VOICEFARM_FAKE_GPUS=str(gpus))

    code, _ = up.end()

    assert code == 1
    assert "there is no GPU '7'; these are: 0, 1, 2" in up.told
    assert not home.exists()


def test_a_worker_that_cannot_load_ends_the_farm_with_the_reason(start_up, home):
    up = start_up(VOICEFARM_FAKE_LOAD_ERROR="the weights are gone")

    code, _ = up.end()

    assert code == 1
    assert "no worker can be kept running" in up.told
    assert "the weights are gone" in up.told
    assert processes_of(home) == {}


@pytest.mark.slow
def test_a_worker_that_stands_still_is_replaced_and_its_jobs_are_done(start_up, home):
    up = start_up(VOICEFARM_FAKE_SPEED="0.2").ready()
    with client(up) as farm:
        jobs = farm.submit_many(f"line number {n}" for n in range(4))
        eventually(lambda: all(job.status is JobState.RUNNING for job in jobs))

        os.kill(pid_of(home, " worker -n cpu0@"), signal.SIGSTOP)

        eventually(lambda: "replace cpu0@" in up.told, 3 * LIMIT_S)
        assert [job.wait(180) for job in jobs] == [JobState.DONE] * 4
    assert "it has not answered" in up.told
