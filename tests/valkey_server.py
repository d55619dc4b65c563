"""A Valkey of one test, configured as the test wants it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
import redis

from producer.embedded import find_server
from producer.errors import EmbeddedBrokerFailed
from tests.conftest import eventually, missing


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ValkeyServer:
    """A server in a directory of its own; `start` again goes on with its data."""

    def __init__(self, directory: Path, *lines: str, sentinel: bool = False) -> None:
        """`lines` are lines of its configuration."""
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._log = directory / "server.log"
        self._configuration = directory / "server.conf"
        own = (f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", f"logfile {self._log}")
        self._configuration.write_text("\n".join((*own, *lines)) + "\n")
        self._arguments = ["--sentinel"] * sentinel
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        try:
            server = find_server()
        except EmbeddedBrokerFailed as error:
            missing(str(error))
        self.process = subprocess.Popen([server, str(self._configuration), *self._arguments])
        eventually(self._listens)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self, **options: object) -> redis.Redis:
        """A client of it, with text in and out."""
        return redis.Redis(port=self.port, decode_responses=True, **options)  # type: ignore[arg-type]

    def _listens(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the server ended:\n{self._log.read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
