"""TLS before a server that has none: what a client meets is a certificate and its key."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class TlsDoor:
    """A port of 127.0.0.1 that speaks TLS and hands on what it hears to another port."""

    def __init__(self, context: ssl.SSLContext, to_port: int) -> None:
        self._context = context
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        #: Connections that came to an agreement.
        self.agreed = 0
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            incoming, _ = self._listener.accept()
            self._run(lambda incoming=incoming: self._serve(incoming))

    def _serve(self, incoming: socket.socket) -> None:
        """Agree on TLS, then copy both ways until one side leaves."""
        outer = self._context.wrap_socket(incoming, server_side=True)
        inner = socket.create_connection(("127.0.0.1", self._to_port))
        self.agreed += 1
        self._sockets += [outer, inner]
        self._run(lambda: _copy(inner, outer))
        _copy(outer, inner)

    @staticmethod
    def _run(serve: Callable[[], None]) -> None:
        def quietly() -> None:
            with suppress(OSError):  # refused, or closed at the end of the test
                serve()

        threading.Thread(target=quietly, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    finally:
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
