"""A heartbeat's last word: who has ended is there no more."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import eventually
from worker import heartbeat as heartbeat_module
from worker.heartbeat import Heartbeat


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What Redis was told, in order."""
    words: list[str] = []
    monkeypatch.setattr(heartbeat_module, "beat", lambda *_: words.append("beat"))
    monkeypatch.setattr(heartbeat_module, "forget", lambda *_: words.append("forget"))
    monkeypatch.setattr(heartbeat_module, "CLOSE_S", 0.01)
    return words


def test_a_worker_that_ends_during_a_beat_is_forgotten_behind_it(said):
    looked_up = threading.Event()
    pulse = Heartbeat(None, dict, refresh=lambda: looked_up.wait(30))

    pulse.start("w@test")
    pulse.close()
    looked_up.set()

    eventually(lambda: said and said[-1] == "forget")
    assert said == ["beat", "forget"]


def test_one_that_never_beat_forgets_nobody(said):
    Heartbeat(None, dict, refresh=lambda: None).close()

    assert said == []
