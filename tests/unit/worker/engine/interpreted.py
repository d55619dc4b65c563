"""Triton's kernels where there is no GPU: its interpreter runs them, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import CHECKOUT, needed


def run_interpreted(script: str, *arguments: str) -> None:
    """Run a script that asserts. Triton decides at its import whether it interprets."""
    needed("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        check=False, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
