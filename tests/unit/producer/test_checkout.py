"""Finding the worker's code beside the package, and saying so where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from producer.checkout import find_checkout
from producer.cli import run_voicefarm


class Replaced(BaseException):
    """Stands for the moment in which this process becomes another one."""


@pytest.fixture
def execution(monkeypatch, tmp_path) -> list:
    """What the process would have become: program, arguments, environment, directory."""
    seen: list = []

    def become(program, arguments, environment):
        seen.extend([program, arguments, environment, Path.cwd()])
        raise Replaced

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.chdir(tmp_path)
    return seen


def test_this_checkout_is_found():
    assert find_checkout() == Path(__file__).resolve().parents[3]


def test_an_installed_package_has_no_checkout(tmp_path):
    (tmp_path / "site-packages" / "producer").mkdir(parents=True)
    (tmp_path / "site-packages" / "tasks").mkdir()

    assert find_checkout(tmp_path / "site-packages" / "producer") is None


def test_a_client_alone_says_where_the_worker_is_to_be_had(monkeypatch, capsys):
    monkeypatch.setattr("producer.cli.worker_code.find_checkout", lambda: None)

    code = run_voicefarm(["up"])

    shown = capsys.readouterr()
    assert (code, shown.out) == (69, "")
    assert "Clone the repository" in shown.err
    assert shown.err.count("\n") == 1


def test_up_becomes_the_workers_program_in_the_checkout(execution, tmp_path):
    with pytest.raises(Replaced):
        run_voicefarm(["up", "--flower", "--", "say", "--json"])

    program, arguments, _, directory = execution
    assert program == sys.executable
    assert arguments[1:4] == ["-m", "worker", "up"]
    assert "--flower" in arguments
    assert f"--directory={tmp_path}" in arguments
    assert arguments[-3:] == ["--", "say", "--json"]
    assert directory == find_checkout()


def test_settings_travel_in_the_environment_and_relative_homes_still_mean_the_same(
    execution, tmp_path
):
    with pytest.raises(Replaced):
        run_voicefarm(
            ["up", "--broker=redis://:pw@h/0", "--home=farm", "--engine=fake", "--threads=3"]
        )

    _, arguments, environment, _ = execution
    assert environment["VOICEFARM_BROKER_URL"] == "redis://:pw@h/0"
    assert environment["VOICEFARM_HOME"] == str(tmp_path / "farm")
    assert environment["VOICEFARM_ENGINE"] == "fake"
    assert environment["VOICEFARM_THREADS"] == "3"
    assert environment["PATH"] == os.environ["PATH"]
    assert not any("pw" in argument for argument in arguments)


def test_what_is_not_said_is_left_to_the_settings(execution):
    with pytest.raises(Replaced):
        run_voicefarm(["up"])

    assert not [name for name in execution[2] if name.startswith("VOICEFARM_")]


def test_a_voice_is_made_by_the_workers_program_of_files_that_are_found_there(execution, tmp_path):
    (tmp_path / "a.wav").touch()

    with pytest.raises(Replaced):
        run_voicefarm(["voices", "add", "anna", "a.wav", "--consent", "--home=farm"])

    _, arguments, environment, _ = execution
    assert arguments[1:] == [
        *("-m", "worker", "voices", "add", "--", "anna"),
        str(tmp_path / "a.wav"),
    ]
    assert environment["VOICEFARM_HOME"] == str(tmp_path / "farm")


def test_no_voice_is_made_without_consent(execution, tmp_path, capsys):
    (tmp_path / "a.wav").touch()

    code = run_voicefarm(["voices", "add", "anna", str(tmp_path / "a.wav")])

    assert code == 2
    assert "--consent" in capsys.readouterr().err
    assert not execution
