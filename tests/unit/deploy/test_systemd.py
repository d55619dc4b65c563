"""The unit for farms without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

UNIT = CHECKOUT / "deploy" / "systemd" / "voicefarm.service"
BROKER = CHECKOUT / "deploy" / "systemd" / "broker.conf"

#: What a worker and its supervisor take beyond their limit for the jobs in hand, at most.
STOP_MARGIN_S = 20

#: Of 10, as `systemd-analyze security` counts. GPUs, network and torch's compiler cost the most.
EXPOSURE = 2.5


def setting(name: str) -> str:
    [value] = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
    return value


@pytest.fixture
def unit(tmp_path) -> Path:
    """The unit as it would be on a machine where its programs are."""
    text = UNIT.read_text()
    text = re.sub(r"(/opt/voicefarm/\.venv|/usr)/bin/[\w-]+", "/bin/true", text)
    text = re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE)
    file = tmp_path / UNIT.name
    file.write_text(text)
    dropins = tmp_path / f"{UNIT.name}.d"
    dropins.mkdir()
    shutil.copy(BROKER, dropins)
    return file


def analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    command = [program, "--no-pager", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_systemd_takes_every_line(unit):
    assert [line for line in analyze("verify", str(unit)).splitlines() if unit.name in line] == []


def test_the_unit_is_locked_in(unit):
    told = analyze("security", "--offline=true", str(unit))

    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told)[1]) <= EXPOSURE


def test_a_stop_waits_longer_than_the_jobs_in_hand_may_take():
    drain_s = int(re.search(r"VOICEFARM_DRAIN_S=(\d+)", UNIT.read_text())[1])

    assert int(setting("TimeoutStopSec")) >= drain_s + STOP_MARGIN_S
    # The supervisor tells its workers itself.
    assert setting("KillMode") == "mixed"


def test_the_farm_has_a_worker_on_every_gpu_and_is_started_again():
    assert setting("ExecStart").endswith("/voicefarm up --gpus all")
    assert setting("Restart") == "on-failure"


def test_the_password_of_a_broker_is_in_a_file_of_root():
    text = BROKER.read_text()

    assert "LoadCredential=broker_url:/etc/voicefarm/broker_url" in text
    assert "VOICEFARM_BROKER_URL_FILE=%d/broker_url" in text
    assert "redis://" not in text + UNIT.read_text()
