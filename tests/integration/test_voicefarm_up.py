"""`voicefarm up` as people run it: real broker, real worker, real signals, nothing left behind."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import os
import re
import signal
import socket

import pytest

from tests.conftest import eventually, missing
from tests.integration.up_process import LIMIT_S, VOICEFARM, processes_of

pytestmark = pytest.mark.service


def test_a_command_runs_once_the_farm_is_ready_and_leaves_nothing_running(start_up, home, tmp_path):
    up = start_up("--", *VOICEFARM, "say", "Hello", "-o", "hello.wav")

    code, out = up.end()

    assert (code, out) == (0, "hello.wav\n"), up.told
    # Relative to where the person stands, not to where the worker's code lies.
    assert (tmp_path / "hello.wav").stat().st_size > 1000
    assert processes_of(home) == {}


def test_ctrl_c_stops_the_farm_in_good_order(start_up, home):
    up = start_up().ready()
    assert up.run("say", "Hello").returncode == 0

    os.killpg(up.process.pid, signal.SIGINT)

    assert up.end() == (0, "")
    assert processes_of(home) == {}
    assert "Warm shutdown" in next((home / "logs").glob("cpu0@*.log")).read_text()


def test_nothing_outlives_a_farm_that_is_killed(start_up, home):
    up = start_up().ready()
    assert len(processes_of(home)) >= 3

    up.process.kill()

    eventually(lambda: not processes_of(home))


def test_ctrl_c_while_a_command_waits_leaves_its_job_in_the_queue(start_up, home):
    up = start_up(
        *("--", *VOICEFARM, "say", "A long story " * 50),
        VOICEFARM_FAKE_SPEED="0.1",
        VOICEFARM_DRAIN_S="0.5",
    )
    eventually(
        lambda: processes_of(home) and any(" say " in c for c in processes_of(home).values())
    )
    eventually(lambda: '"running": 1' in up.run("status", "--json").stdout)

    os.killpg(up.process.pid, signal.SIGINT)

    code, out = up.end()
    assert (code, out) == (130, "")
    assert re.search(r"voicefarm wait [0-9a-f]{32}", up.told)


def test_a_second_farm_of_the_same_home_shares_the_broker(start_up, home):
    first = start_up().ready()
    second = start_up().ready()

    assert "was running already" in second.told
    nodes = {line.split()[0] for line in first.run("workers", "-q").stdout.splitlines()[1:]}
    assert {node.partition("@")[0] for node in nodes} == {"cpu0", "cpu1"}
    second.process.send_signal(signal.SIGTERM)
    assert second.end()[0] == 0
    assert first.run("say", "Hello").returncode == 0


def test_flower_shows_the_farm_to_whoever_has_the_password(start_up, home, unused_port):
    if importlib.util.find_spec("flower") is None:
        missing("flower")
    up = start_up("--flower", f"--flower-port={unused_port}").ready()
    password = re.search(r"user farm, password (\S+)", up.told)[1]
    token = base64.b64encode(f"farm:{password}".encode()).decode()

    def status_of(**headers: str) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", unused_port, timeout=LIMIT_S)
        try:
            connection.request("GET", "/api/workers", headers=headers)
            return connection.getresponse().status
        except ConnectionRefusedError:
            return None  # not there yet
        finally:
            connection.close()

    assert eventually(status_of) == 401
    assert status_of(Authorization=f"Basic {token}") == 200
    assert not any(password in command for command in processes_of(home).values())


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
