"""The worker's door for probes: `/livez`, `/readyz` and `/metrics`.

It answers from a thread of its own, so it still does when the event loop does not.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

#: Nobody outside this machine, and no other container, is answered, unless it is wished.
LOOPBACK: Final = "127.0.0.1"

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"

#: Status, type and body of an answer.
Answer = tuple[HTTPStatus, str, bytes]
Page = Callable[[], Answer]


def told(well: bool, facts: object) -> Answer:
    """Return 200, or 503 if not `well`, with facts as JSON."""
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _JSON, json.dumps(facts).encode() + b"\n"


class HttpDoor:
    """Answers GET requests by path. Raises `OSError` if the port is taken."""

    def __init__(self, port: int, pages: Mapping[str, Page], host: str = LOOPBACK) -> None:
        """`port` 0 is any that is free."""
        self._server = ThreadingHTTPServer((host, port), _handler(pages))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _handler(pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        #: A visitor who says nothing holds a thread no longer.
        timeout = 10

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (HTTPStatus.NOT_FOUND, _TEXT, b"no page\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Probes come every few seconds; nobody wants to read of them."""

    return Handler
