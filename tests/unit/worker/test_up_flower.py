"""Flower beside a farm: who reaches it, who knows its password, and what if it is not there."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from puppet_farm import Machine, is_running, staged

from tests.conftest import CHECKOUT
from worker.farm_failure import FarmFailed

#: A command beside a farm whose Flower starts last.
UNTIL_FLOWER_RUNS = """
import pathlib, time
while not pathlib.Path("flower.json").exists():
    time.sleep(0.02)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    return staged(tmp_path, monkeypatch)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_flower_listens_to_this_machine_alone_and_is_told_as_every_flower_of_a_farm(
    machine, free_port
):
    machine.up(sys.executable, "-c", UNTIL_FLOWER_RUNS, flower_port=free_port)

    flower = machine.seen("flower")
    assert "--address=127.0.0.1" in flower["arguments"]
    assert f"--conf={CHECKOUT / 'worker' / 'flowerconfig.py'}" in flower["arguments"]
    assert not is_running(flower["pid"])


def test_the_password_of_flower_is_told_once_and_is_no_argument(machine, free_port):
    machine.up(sys.executable, "-c", UNTIL_FLOWER_RUNS, flower_port=free_port)

    flower = machine.seen("flower")
    user, _, password = flower["environment"]["FLOWER_BASIC_AUTH"].partition(":")
    assert (user, len(password) > 15) == ("farm", True)
    assert sum(password in line for line in machine.told) == 1
    assert not any(password in argument for argument in flower["arguments"])
    assert "FLOWER_BASIC_AUTH" not in machine.seen("worker")["environment"]


def test_the_farm_outlives_flower(machine, free_port):
    machine.cast(flower="dies")
    until_told = "import pathlib, time\nwhile not pathlib.Path('told').exists(): time.sleep(0.02)"
    machine.hear = lambda line: "flower ended" in line and Path("told").touch()

    assert machine.up(sys.executable, "-c", until_told, flower_port=free_port) == 0
    assert any("flower ended with 70" in line for line in machine.told)


def test_a_port_that_is_taken_is_said_before_anything_starts(machine):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(FarmFailed, match="--flower-port"),
    ):
        machine.up(flower_port=server.getsockname()[1])

    assert machine.told == []


def test_a_flower_that_is_not_installed_names_its_extra(machine, free_port, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(FarmFailed, match=r"voicefarm\[monitor\]"):
        machine.up(flower_port=free_port)
