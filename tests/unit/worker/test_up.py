"""`up` with real processes that only play their parts: what starts, what ends, and when."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest
from puppet_farm import URL, FakeBroker, FakeView, Machine, is_running, staged

from producer.cli.exit_codes import ExitCode
from worker import restarts
from worker import supervisor as supervisor_module
from worker.farm_failure import FarmFailed


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    return staged(tmp_path, monkeypatch)


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
