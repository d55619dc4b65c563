"""Who reaches the worker's pages."""

from __future__ import annotations

import http.client
from http import HTTPStatus

import pytest

from worker.http_door import HttpDoor, told


@pytest.fixture
def door():
    """A door with one page, as a worker opens it that was told nothing."""
    door = HttpDoor(0, {"/livez": lambda: told(True, {})})
    yield door
    door.close()


@pytest.fixture
def wide_door():
    """The same for every network."""
    door = HttpDoor(0, {"/livez": lambda: told(True, {})}, "0.0.0.0")  # noqa: S104
    yield door
    door.close()


def status(host: str, port: int) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    finally:
        connection.close()


def test_this_machine_alone_is_answered(door):
    assert status("127.0.0.1", door.port) == HTTPStatus.OK
    with pytest.raises(ConnectionRefusedError):
        # Another address of the same machine, as any network card has one.
        status("127.0.0.2", door.port)


def test_every_network_is_answered_if_that_is_wished(wide_door):
    assert status("127.0.0.1", wide_door.port) == HTTPStatus.OK
    assert status("127.0.0.2", wide_door.port) == HTTPStatus.OK
