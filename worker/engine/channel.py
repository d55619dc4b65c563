"""Plain data between two processes: JSON messages over a stream socket, each behind its length."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

Message = dict[str, Any]

_LENGTH: Final = struct.Struct("!I")

#: How much is read at once.
_READ_BYTES: Final = 1 << 16


class Channel:
    """One end. One thread may send while another receives. The socket may be non-blocking."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait for."""
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """True if a non-blocking socket was full; call `flush` when it can be written to."""
        return bool(self._outgoing)

    def send(self, *messages: Message) -> None:
        """Send messages, together. They are lost if the other end is gone: `receive` will tell."""
        for message in messages:
            encoded = json.dumps(message, separators=(",", ":")).encode()
            self._outgoing += _LENGTH.pack(len(encoded)) + encoded
        self.flush()

    def flush(self) -> None:
        """Send what is left, as far as the socket takes it."""
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._outgoing.clear()

    def receive(self) -> list[Message]:
        """Read once and return the messages that are complete now.

        Raises `EOFError` when the other end is gone, `BlockingIOError` if the socket is
        non-blocking and there is nothing.
        """
        try:
            data = self._socket.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        self._incoming += data
        messages = []
        while (end := self._end_of_first()) is not None:
            messages.append(json.loads(self._incoming[_LENGTH.size : end]))
            del self._incoming[:end]
        return messages

    def close(self) -> None:
        """Close this end; the other one reads an end of file."""
        self._socket.close()

    def _end_of_first(self) -> int | None:
        if len(self._incoming) < _LENGTH.size:
            return None
        end = int(_LENGTH.size + _LENGTH.unpack_from(self._incoming)[0])
        return end if len(self._incoming) >= end else None
