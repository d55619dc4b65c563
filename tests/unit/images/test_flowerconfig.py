"""Flower's configuration: reads only, asks who is there, shows no secret and no whole text."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import pytest

from tests.conftest import CHECKOUT, needed


@pytest.fixture
def login(monkeypatch, tmp_path):
    """The file with Flower's user and password."""
    file = tmp_path / "flower"
    file.write_text("farm:secret\n")
    monkeypatch.setenv("FLOWER_LOGIN_FILE", str(file))
    return file


@pytest.fixture
def configuration(login):
    """What Flower reads."""
    return runpy.run_path(str(CHECKOUT / "docker" / "flowerconfig.py"))


def test_every_name_that_flower_knows_has_a_value_that_it_takes(login):
    needed("flower.options")
    from tornado.options import OptionParser, options

    parser = OptionParser()
    for option in options._options.values():
        if option.name != "help":
            how = {"type": option.type, "multiple": option.multiple}
            parser.define(option.name, default=option.default, **how)
    parser.parse_config_file(str(CHECKOUT / "docker" / "flowerconfig.py"))

    assert parser.read_only is True
    assert parser.persistent is True
    assert parser.basic_auth == ["farm:secret"]
    assert parser.format_task.__name__ == "format_task"


def test_without_a_password_flower_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWER_LOGIN_FILE", str(tmp_path / "not there"))

    with pytest.raises(FileNotFoundError):
        runpy.run_path(str(CHECKOUT / "docker" / "flowerconfig.py"))


def test_a_long_text_is_shortened_and_a_password_is_masked(configuration):
    task = SimpleNamespace(
        args="x" * 500,
        kwargs="",
        result=None,
        exception="cannot reach redis://worker:hunter2@redis:6379/0",
        traceback="line\n" * 1000 + "at redis://:hunter2@redis",
    )

    shown = configuration["format_task"](task)

    assert len(shown.args) == 80
    assert shown.exception == "cannot reach redis://worker:***@redis:6379/0"
    assert shown.traceback.endswith("at redis://:***@redis")
    assert len(shown.traceback) == 2000
    assert shown.result is None


def test_a_task_that_lacks_a_field_is_shown_all_the_same(configuration):
    assert configuration["format_task"](SimpleNamespace(args="(1,)")).args == "(1,)"
