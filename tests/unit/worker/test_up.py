"""`up` with real processes that only play their parts: what starts, what ends, and when."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from producer.cli.exit_codes import ExitCode
from tests.conftest import CHECKOUT
from worker import restarts
from worker import supervisor as supervisor_module
from worker import up as up_module
from worker.config import WorkerSettings
from worker.farm_failure import FarmFailed
from worker.farm_plan import FarmPlan
from worker.processes import StopSignals, claim_log, numbered
from worker.up import up

URL = "redis://:secret@127.0.0.1:1/0"

#: Stands in for `python -m celery`: notes how it was called and plays its part until SIGTERM.
PLAYER = """
import json, os, signal, sys, time
name = sys.argv[3]
part = json.load(open("parts.json")).get(name, "")
if part == "dies":
    print("no engine today", flush=True)
    sys.exit(70)
def end(number, frame):
    if part == "stubborn":
        os.kill(os.getppid(), signal.SIGINT)  # the person loses patience
    if part in ("stubborn", "deaf"):
        return
    open(name + ".ended", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
seen = {"arguments": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid()}
with open(name + ".new", "w") as file:
    json.dump(seen, file)
os.rename(name + ".new", name + ".json")
while True:
    time.sleep(0.02)
"""


class FakeBroker:
    """Is there at once; notes who was still alive when it was stopped."""

    def __init__(self, home: Path) -> None:
        self.owned = self.alive = False
        self.worker_had_ended: bool | None = None
        FakeBroker.last = self

    def start(self) -> str:
        self.owned = self.alive = True
        return URL

    def stop(self) -> None:
        self.worker_had_ended = Path("worker.ended").exists()
        self.owned = self.alive = False


#: A command beside a farm whose Flower starts last.
UNTIL_FLOWER_RUNS = """
import pathlib, time
while not pathlib.Path("flower.json").exists():
    time.sleep(0.02)
"""


class FakeView:
    """Finds the worker in the state that is set, once it has started."""

    state = "ready"

    def __init__(self, url: str) -> None:
        assert url == URL
        self.buried: list[str] = []
        FakeView.last = self

    def workers(self):
        try:
            pid = json.loads(Path("worker.json").read_text())["pid"]
        except FileNotFoundError:
            return {}
        node = f"cpu0@{socket.gethostname()}"
        facts = {"state": self.state, "engine": "fake", "revision": "1", "device": "cpu"}
        return {node: {"pid": pid, **facts}}

    def backlog(self):
        return None

    def bury(self, node):
        self.buried.append(node)
        return 0

    def record(self, decision):
        pass

    def tell(self, host, facts):
        pass

    def leave(self, host):
        pass

    def close(self):
        pass


class Machine:
    """A directory in which `up` finds its checkout, and all that was told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = WorkerSettings.load(home=directory / "home")
        self.told: list[str] = []
        self.cast()
        (directory / "celery.py").write_text(PLAYER)

    def cast(self, **parts: str) -> None:
        (self.directory / "parts.json").write_text(json.dumps(parts))

    def up(self, *command: str, flower_port: int | None = None) -> int:
        plan = FarmPlan(flower_port=flower_port, command=command, directory=self.directory)
        return up(self.settings, plan, tell=self._tell)

    def seen(self, name: str) -> dict:
        return json.loads((self.directory / f"{name}.json").read_text())

    def hear(self, line: str) -> None:
        if line.startswith("the farm is ready"):
            os.kill(os.getpid(), signal.SIGINT)

    def _tell(self, line: str) -> None:
        self.told.append(line)
        self.hear(line)


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(up_module, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(up_module, "EmbeddedBroker", FakeBroker)
    monkeypatch.setattr(up_module, "FarmView", FakeView)
    monkeypatch.setattr(supervisor_module, "LOOK_S", 0.05)
    return Machine(tmp_path)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_running(pid: int) -> bool:
    """True for a process that is neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_ends_the_worker_and_then_the_broker(machine):
    code = machine.up()

    assert code == ExitCode.GOOD
    assert FakeBroker.last.worker_had_ended is True
    assert not is_running(machine.seen("worker")["pid"])


def test_the_worker_learns_its_broker_from_the_environment_and_from_no_argument(machine):
    machine.up()

    worker = machine.seen("worker")
    assert worker["environment"]["VOICEFARM_BROKER_URL"] == URL
    assert worker["environment"]["VOICEFARM_HOME"] == str(machine.settings.home)
    assert not any("secret" in argument for argument in worker["arguments"])
    assert not any("secret" in line for line in machine.told)


def test_the_volumes_are_there_before_anything_starts(machine):
    machine.up()

    assert (machine.settings.home / "uploads").is_dir()


def test_a_second_signal_ends_a_worker_that_takes_its_time(machine):
    machine.cast(worker="stubborn")

    code = machine.up()

    assert code == ExitCode.INTERRUPTED
    assert not is_running(machine.seen("worker")["pid"])


def test_a_worker_that_does_not_end_is_killed_at_the_limit(machine, monkeypatch):
    monkeypatch.setattr(supervisor_module, "STOP_MARGIN_S", 0.2)
    machine.settings = machine.settings.model_copy(update={"drain_s": 0.0})
    machine.cast(worker="deaf")

    assert machine.up(sys.executable, "-c", "") == 0
    assert not is_running(machine.seen("worker")["pid"])


def test_a_worker_that_dies_ends_the_farm_with_the_end_of_its_log(machine):
    machine.cast(worker="dies")

    with pytest.raises(FarmFailed, match=r"ended with 70(.|\n)*no engine today") as failure:
        machine.up()

    assert failure.value.exit_code == ExitCode.FAILED
    assert FakeBroker.last.owned is False


def test_a_worker_that_is_never_ready_is_not_waited_for_for_ever(machine, monkeypatch):
    monkeypatch.setattr(FakeView, "state", "loading")
    monkeypatch.setattr(supervisor_module, "READY_LIMIT_S", 0.2)
    monkeypatch.setattr(restarts, "FIRST_PAUSE_S", 0.0)

    with pytest.raises(FarmFailed, match="no worker can be kept running"):
        machine.up()

    assert any("not ready within" in line for line in machine.told)
    assert not is_running(machine.seen("worker")["pid"])


def test_a_broker_that_dies_ends_the_farm(machine, monkeypatch):
    monkeypatch.setattr(
        FakeView, "workers", lambda _: vars(FakeBroker.last).update(alive=False) or {}
    )

    with pytest.raises(FarmFailed, match="the broker has ended"):
        machine.up()


def test_a_command_runs_beside_the_farm_and_its_code_is_ours(machine):
    script = (
        "import os, sys; url = os.environ['VOICEFARM_BROKER_URL'];"
        "open('told', 'w').write(url); sys.exit(7)"
    )

    code = machine.up(sys.executable, "-c", script)

    assert code == 7
    assert Path("told").read_text() == URL
    assert not is_running(machine.seen("worker")["pid"])


def test_a_command_that_a_signal_ends_has_the_code_that_a_shell_gives(machine):
    assert machine.up(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)") == 137


def test_a_command_that_is_not_there_has_the_code_that_a_shell_gives(machine, capfd):
    assert machine.up("no-such-command-anywhere") == 127
    assert "no-such-command-anywhere" in capfd.readouterr().err


def test_sigterm_is_passed_on_to_the_command(machine):
    script = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"

    assert machine.up(sys.executable, "-c", script) == 128 + signal.SIGTERM


def test_a_command_that_ignores_a_signal_is_killed_by_the_next(machine):
    script = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "os.kill(os.getppid(), signal.SIGTERM); time.sleep(0.3);"
        "os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    )

    assert machine.up(sys.executable, "-c", script) == 128 + signal.SIGKILL


def test_a_command_does_not_outlive_its_farm(machine):
    script = (
        "import json, os, signal, time; open('pid', 'w').write(str(os.getpid()));"
        "json.dump({'worker': 'dies'}, open('parts.json', 'w'));"
        "os.kill(json.load(open('worker.json'))['pid'], 9); time.sleep(60)"
    )

    with pytest.raises(FarmFailed, match="ended with 70"):
        machine.up(sys.executable, "-c", script)

    assert not is_running(int(Path("pid").read_text()))


def test_a_worker_that_is_killed_is_started_again_and_its_jobs_are_given_back(machine):
    script = (
        "import json, os, time\n"
        "def pid():\n"
        "    return json.load(open('worker.json'))['pid']\n"
        "first = pid()\n"
        "os.kill(first, 9)\n"
        "while pid() == first: time.sleep(0.02)\n"
    )

    assert machine.up(sys.executable, "-c", script) == 0

    node = f"cpu0@{socket.gethostname()}"
    assert FakeView.last.buried[0] == node
    assert any(line.startswith(f"restart {node}: {node} ended with -9") for line in machine.told)


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


def test_workers_of_one_host_have_names_of_their_own(tmp_path):
    first, log = claim_log(tmp_path, numbered("cpu"), "host")
    second, other = claim_log(tmp_path, numbered("cpu"), "host")
    log.close()
    third, again = claim_log(tmp_path, numbered("cpu"), "host")

    assert (first, second, third) == ("cpu0@host", "cpu1@host", "cpu0@host")
    other.close()
    again.close()


def test_signals_are_counted_and_handed_back():
    before = signal.getsignal(signal.SIGTERM)

    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

        assert (signals.count, signals.last) == (2, signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)

            assert signals.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)
