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
