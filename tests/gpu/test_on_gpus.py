"""The proofs on real GPUs. A machine without them skips these, in CI too: none of its has any."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT
from worker.nvml import nvml_source

GPUS = len(nvml_source().gpus())

#: Several times what they take.
LIMIT_S = 400.0


def proven(script: str) -> None:
    """Run a script of proofs; what it prints is shown if it fails."""
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{script}"],
        cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-8000:]


@pytest.mark.skipif(GPUS < 1, reason="NVML tells of no GPU on this machine")
def test_an_engine_without_memory_for_all_its_rows_makes_the_same_takes_in_smaller_batches():
    proven("gpu_memory")


@pytest.mark.skipif(GPUS < 2, reason=f"two GPUs are needed, and NVML tells of {GPUS} here")
def test_workers_of_two_gpus_share_the_work_survive_a_kill_and_come_and_go_with_the_backlog():
    proven("gpu_farm")
