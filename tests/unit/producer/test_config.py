"""Settings: read once, frozen, and an error names the variable."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from producer.config import ProducerSettings
from producer.errors import SettingsError


def test_a_variable_of_the_wrong_form_is_named_with_its_value(monkeypatch):
    monkeypatch.setenv("VOICEFARM_KEEP_DAYS", "soon")

    with pytest.raises(SettingsError, match=r"VOICEFARM_KEEP_DAYS='soon'"):
        ProducerSettings.load()


def test_an_explicit_value_wins_over_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("VOICEFARM_HOME", "/elsewhere")

    assert ProducerSettings.load(home=tmp_path).home == tmp_path


def test_settings_cannot_be_changed(tmp_path):
    settings = ProducerSettings.load(home=tmp_path)

    with pytest.raises(ValidationError):
        settings.home = tmp_path / "other"


def test_the_password_of_the_broker_is_not_shown(monkeypatch):
    monkeypatch.setenv("VOICEFARM_BROKER_URL", "redis://:secret@host:6379/0")

    assert "secret" not in repr(ProducerSettings.load())


def test_the_broker_may_be_named_by_a_file(monkeypatch, tmp_path):
    secret = tmp_path / "broker_url"
    secret.write_text("redis://worker:secret@redis:6379/0\n")
    monkeypatch.setenv("VOICEFARM_BROKER_URL_FILE", str(secret))

    settings = ProducerSettings.load()

    assert settings.broker_url is not None
    assert settings.broker_url.get_secret_value() == "redis://worker:secret@redis:6379/0"
    assert "secret@" not in repr(settings)


def test_a_broker_that_is_named_outright_wins_over_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("VOICEFARM_BROKER_URL_FILE", str(tmp_path / "not there"))

    settings = ProducerSettings.load(broker_url="redis://host:6379/0")

    assert settings.broker_url is not None
    assert settings.broker_url.get_secret_value() == "redis://host:6379/0"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe", "not UTF-8")],
)
def test_a_file_that_names_no_broker_is_an_error(monkeypatch, tmp_path, content, complaint):
    secret = tmp_path / "broker_url"
    if content is not None:
        secret.write_bytes(content)
    monkeypatch.setenv("VOICEFARM_BROKER_URL_FILE", str(secret))

    with pytest.raises(SettingsError, match=f"VOICEFARM_BROKER_URL_FILE=.*{complaint}"):
        ProducerSettings.load()
