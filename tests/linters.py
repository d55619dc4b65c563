"""Programs that check what is no Python; their wheels lie beside the tests' own Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT, missing

__all__ = ["CHECKOUT", "lint"]


def lint(name: str, *arguments: str) -> str:
    """Return what a linter complains of; "" if it is content."""
    beside = Path(sys.executable).parent / name
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        missing(name)
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr
