"""What `doctor` says of what books need."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.cli import doctor


@pytest.fixture
def installed(monkeypatch) -> set[str]:
    """The packages that can be found, on a machine with the worker's code."""
    found = {doctor.BOOK_ENCODER, doctor.EPUB_READER}
    monkeypatch.setattr(doctor, "find_spec", lambda name: name if name in found else None)
    monkeypatch.setattr(doctor, "find_checkout", lambda: Path("/checkout"))
    return found


@pytest.fixture
def client_alone(monkeypatch, installed) -> set[str]:
    """The same on a machine that has the client alone."""
    monkeypatch.setattr(doctor, "find_checkout", lambda: None)
    return installed


def test_a_machine_that_has_all_is_well(installed):
    assert doctor.books() == doctor.Check("books", True, "read and made here")


def test_a_worker_without_its_encoder_cannot_make_books(installed):
    installed.discard("av")

    check = doctor.books()

    assert not check.ok
    assert "av (PyAV) missing: pip install -e '.[worker]'" in check.detail


def test_an_epub_that_could_not_be_read_is_told_and_fails_nothing(installed):
    installed.discard("lxml")

    check = doctor.books()

    assert check.ok
    assert "no EPUB without lxml" in check.detail


def test_a_client_needs_no_encoder(client_alone):
    client_alone.discard("av")

    assert doctor.books().ok
