"""Vitals: a worker that says that it is ill, or says nothing for long, is not well."""

from __future__ import annotations

import socket

import pytest

from worker.http_door import HttpDoor, told
from worker.vitals import SILENT_ASKS, Vitals

PID = 4242


class Worker:
    """A door like a worker's, whose answer can be changed."""

    def __init__(self) -> None:
        self.detail = ""
        self.door = HttpDoor(0, {"/livez": lambda: told(not self.detail, {"detail": self.detail})})


@pytest.fixture
def worker() -> Worker:
    worker = Worker()
    yield worker
    worker.door.close()


@pytest.fixture
def nobody() -> int:
    """A port where nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def vitals() -> Vitals:
    return Vitals()


def test_who_says_that_it_is_well_is_well(vitals, worker):
    vitals.admit(PID, worker.door.port)
    vitals.ask()

    assert vitals.ailment(PID) == ""


def test_who_says_that_it_is_ill_is_ill_until_it_says_otherwise(vitals, worker):
    vitals.admit(PID, worker.door.port)
    worker.detail = "the event loop has stood still for 31 s"
    vitals.ask()
    ill = vitals.ailment(PID)
    worker.detail = ""
    vitals.ask()

    assert ill == "the event loop has stood still for 31 s"
    assert vitals.ailment(PID) == ""


def test_who_says_nothing_is_given_time(vitals, nobody):
    vitals.admit(PID, nobody)

    for _ in range(SILENT_ASKS - 1):
        vitals.ask()
    patient = vitals.ailment(PID)
    vitals.ask()

    assert patient == ""
    assert "not answered" in vitals.ailment(PID)


def test_one_answer_ends_a_silence(vitals, nobody, worker):
    vitals.admit(PID, nobody)
    for _ in range(SILENT_ASKS):
        vitals.ask()
    vitals.discharge(PID)
    vitals.admit(PID, worker.door.port)
    vitals.ask()

    assert vitals.ailment(PID) == ""


def test_nothing_is_said_of_who_is_not_known(vitals):
    assert vitals.ailment(PID) == ""
