"""`scripts/audit` with programs that only play their parts."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.conftest import CHECKOUT


@pytest.fixture
def programs(tmp_path):
    """The two programs; each notes how it was called, and auditing fails for the CPU image."""
    for name, does in (("cyclonedx-py", "true"), ("pip-audit", '[[ "$*" != *-cpu.txt ]]')):
        program = tmp_path / name
        program.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >>"$CALLS"\n{does}\n')
        program.chmod(0o755)
    return tmp_path


def audit(programs, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code, and every call that was made."""
    calls = programs / "calls"
    ran = subprocess.run(
        [CHECKOUT / "scripts" / "audit", *arguments],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls)},
        capture_output=True,
        check=False,
    )
    return ran.returncode, sorted(calls.read_text().splitlines())


def test_what_cannot_be_looked_up_fails(programs):
    code, calls = audit(programs)

    assert code == 1
    # Without it a version that is not found would pass.
    assert all("--strict" in call for call in calls)
    # The other image is looked at all the same.
    assert [call.rpartition("requirements-")[2] for call in calls] == ["cpu.txt", "rvc.txt"]


def test_a_bill_is_written_for_each_image(programs, tmp_path):
    _, calls = audit(programs, str(tmp_path / "bills"))

    bills = [call.split()[-2:] for call in calls if call.startswith("cyclonedx-py")]
    assert [(bill.rpartition("/")[2], lock) for bill, lock in bills] == [
        ("voicefarm-cpu.cdx.json", "docker/requirements-cpu.txt"),
        ("voicefarm-gpu.cdx.json", "docker/requirements-rvc.txt"),
    ]
