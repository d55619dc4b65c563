"""`voicefarm up` as people run it: real broker, real worker, real signals, nothing left behind."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producer.embedded import find_server
from producer.errors import EmbeddedBrokerFailed
from tests.conftest import CHECKOUT, eventually, missing

pytestmark = pytest.mark.service

VOICEFARM = (sys.executable, "-m", "producer")

#: Generous: machines are shared.
LIMIT_S = 60.0


class Up:
    """One `voicefarm up`, in a session of its own as in a terminal."""

    def __init__(self, home: Path, directory: Path, *arguments: str, **settings: str) -> None:
        self.home = home
        self.stderr = directory / f"up{len(list(directory.glob('up*')))}.err"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "VOICEFARM_HOME": str(home),
            "VOICEFARM_ENGINE": "fake",
            **settings,
        }
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*VOICEFARM, "up", *arguments],
                cwd=directory,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    @property
    def told(self) -> str:
        return self.stderr.read_text()

    def ready(self) -> Up:
        """Wait until the farm says that it is ready."""
        eventually(lambda: "is ready" in self.told or self.process.poll() is not None, LIMIT_S)
        assert self.process.poll() is None, self.told
        return self

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command against the same farm."""
        return subprocess.run(
            [*VOICEFARM, *arguments], env=self.environment, capture_output=True, text=True,
            check=False, timeout=LIMIT_S,
        )  # fmt: skip

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was written to stdout."""
        out, _ = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, out


def processes_of(home: Path) -> dict[int, str]:
    """Return the command lines of all processes that run for this home, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            directory = (entry / "cwd").readlink()
        except (OSError, UnicodeDecodeError):  # no process, or one that has just ended
            continue
        # The broker overwrites its environment with its title, but it works in its directory.
        if f"VOICEFARM_HOME={home}".encode() in environment or directory == home / "broker":
            found[int(entry.name)] = command
    return found


def pid_of(home: Path, part: str) -> int:
    """Return the pid of the one process whose command line has `part` in it."""
    (pid,) = [pid for pid, command in processes_of(home).items() if part in command]
    return pid


@pytest.fixture
def start_up(home: Path, tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Start `voicefarm up ARGUMENTS` with a home of its own; nothing may be left of it."""
    try:
        find_server()
    except EmbeddedBrokerFailed as error:
        missing(str(error))
    started: list[Up] = []

    def start(*arguments: str, **settings: str) -> Up:
        started.append(Up(home, tmp_path, *arguments, **settings))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
        up.process.communicate()
    eventually(lambda: not processes_of(home))


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


def test_a_worker_that_is_killed_ends_the_farm_and_shows_its_log(start_up, home):
    up = start_up().ready()

    os.kill(pid_of(home, " worker -n cpu0@"), signal.SIGKILL)

    code, _ = up.end()
    assert code == 1
    assert re.search(r"cpu0@\S+ ended with -9", up.told)


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
