"""The command line as a whole: streams, exit codes, help, and the commands about the farm."""

from __future__ import annotations

import configparser
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from producer.cli import run_voicefarm
from producer.cli.doctor import RANGES
from producer.cli.exit_codes import ExitCode
from producer.cli.output import Output
from producer.version import VERSION
from producer.voices import Catalogue, Offer, Voice

CHECKOUT = Path(__file__).parents[3]

READY = {"state": "ready", "engine": "espeak", "device": "cpu", "slots": 4, "active": 0}


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_stands_in_the_help_and_in_the_documents(code, capsys):
    assert run_voicefarm(["--help"]) == 0
    shown = capsys.readouterr().out

    assert f"{code:>3}  {code.meaning}" in shown
    assert f"| {code} | {code.meaning} |" in (CHECKOUT / "docs" / "cli.md").read_text()


def test_no_command_at_all_shows_the_help_on_stderr(capsys):
    code = run_voicefarm([])

    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert "Usage:" in shown.err


@pytest.mark.parametrize("arguments", [["nonsense"], ["voices"], ["say", "--nonsense"]])
def test_a_usage_error_is_one_line(arguments, capsys):
    code = run_voicefarm(arguments)

    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert shown.err.startswith("voicefarm: ")
    assert shown.err.count("\n") == 1


def test_the_module_is_the_command():
    shown = subprocess.run(
        [sys.executable, "-m", "producer", "--version"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert shown.stdout == f"voicefarm, version {VERSION}\n"


def test_a_reader_who_has_left_causes_no_noise():
    command = [sys.executable, "-m", "producer", "--help"]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()  # before a word is written

        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.FAILED


def test_workers_are_a_table(stage):
    stage.farm.workers_there = {"gpu10@host": READY, "cpu0@host": {"state": "loading"}}

    code = stage.run("workers")

    assert code == 0
    head, *rows = [line.split() for line in stage.out.splitlines()]
    assert head[:5] == ["NODE", "STATE", "ENGINE", "DEVICE", "ROWS"]
    assert rows == [
        ["cpu0@host", "loading"],
        ["gpu10@host", "ready", "espeak", "cpu", "0/4"],
    ]


def test_no_workers_is_an_exit_code_of_its_own(stage):
    assert stage.run("workers") == ExitCode.NO_WORKER
    assert stage.out == ""


def test_workers_with_json_are_a_line_each(stage):
    stage.farm.workers_there = {"a@host": READY, "b@host": READY}

    stage.run("workers", "--json")

    assert [json.loads(line)["node"] for line in stage.out.splitlines()] == ["a@host", "b@host"]


def test_voices_are_listed_with_their_engine(stage):
    voice = Voice(name="anna", revision="r1", engine="xtts")
    stage.farm.catalogue = Catalogue(
        [Offer(engine="xtts", revision="2", languages=("en", "pt"), voices=(voice,))]
    )

    code = stage.run("voices", "ls")

    assert code == 0
    assert stage.out.splitlines()[1].split() == ["anna", "xtts", "r1"]
    assert "xtts speaks en pt" in stage.err


def test_doctor_is_content_with_a_whole_farm(stage):
    stage.farm.workers_there = {"cpu0@host": READY}

    code = stage.run("doctor")

    assert (code, "✗" in stage.out) == (0, False)
    assert "secret" not in stage.out


def test_doctor_finds_what_is_amiss(stage):
    stage.farm.unreachable = True
    stage.farm.volumes.uploads.rmdir()

    code = stage.run("doctor", "--json")

    checks = {check["name"]: check["ok"] for check in map(json.loads, stage.out.splitlines())}
    assert code == 1
    amiss = {name for name, ok in checks.items() if not ok}
    assert amiss == {"broker", "worker", "volume uploads"}


def test_doctor_tells_what_of_the_broker_could_cost_jobs(stage):
    stage.farm.workers_there = {"cpu0@host": READY}
    stage.farm.volumes.make()
    stage.farm.broker_doubts = ["appendonly is off"]

    code = stage.run("doctor", "--json")

    [check] = [row for row in map(json.loads, stage.out.splitlines()) if not row["ok"]]
    assert code == 1
    assert check["name"] == "broker"
    assert check["detail"].endswith("; appendonly is off")


@pytest.mark.parametrize(
    ("version", "is_told"), [("3.11.7", False), ("3.12.3", True), ("3.12.7", False)]
)
def test_doctor_tells_of_a_python_in_which_workers_grow(stage, monkeypatch, version, is_told):
    monkeypatch.setattr("producer.cli.doctor.sys.version", f"{version} (main)")

    stage.run("doctor", "--json")

    [python] = [row for row in map(json.loads, stage.out.splitlines()) if row["name"] == "python"]
    assert python["ok"]
    assert ("never forgets the name of a file" in python["detail"]) is is_told


def test_doctor_wants_the_versions_that_the_package_asks_for():
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    asked = {
        needed.name: needed.specifier
        for needed in map(Requirement, setup["options"]["install_requires"].strip().splitlines())
    } | {"python": Requirement("python" + setup["options"]["python_requires"]).specifier}

    for name, (least, below) in RANGES.items():
        said = {f">={'.'.join(map(str, least))}", f"<{'.'.join(map(str, below))}"}
        assert {str(part) for part in asked[name]} == said


def test_a_table_is_never_cut_to_a_terminal(capsys):
    Output().table(("name", "detail"), [{"name": "a", "detail": "x" * 500}])

    assert "x" * 500 in capsys.readouterr().out


def test_no_bar_is_drawn_where_there_is_no_terminal(capsys):
    with Output().bar(wanted=True) as bar:
        bar("jobs", 1, 2)

    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """Takes what is written to a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal with colours, to be put in the place of stderr."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def test_a_bar_on_a_terminal_leaves_stdout_to_the_data(terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", terminal)

    output = Output()
    with output.bar(wanted=True) as bar:
        bar("running", 1, 3)
        output.note("a word beside it")
        output.data({}, "the data")

    assert capsys.readouterr().out == "the data\n"
    assert "running 1/3" in terminal.getvalue()
    assert "voicefarm: a word beside it" in terminal.getvalue()


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(terminal, monkeypatch, variables, coloured):
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with Output().bar(wanted=True) as bar:
        bar("running", 1, 3)

    assert ("\x1b[38" in terminal.getvalue()) is coloured
