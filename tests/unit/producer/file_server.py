"""A server of files on 127.0.0.1 that answers as well, or as badly, as it is told to."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served, how, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    #: Bytes after which each answer in turn ends early; when none are left, none does.
    cuts: list[int] = field(default_factory=list)
    #: Statuses of the first answers, instead of the files.
    refusals: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    #: Answers every range with one that begins so many bytes later.
    shift_bytes: int = 0
    says_length: bool = True
    #: The path and the range of every request.
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that were asked for, in order."""
        return [asked_range for _, asked_range in self.asked]


@contextmanager
def serving() -> Iterator[FileServer]:
    """Serve on a free port while the block runs."""
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_range = self.headers.get("Range")
            state.asked.append((self.path, asked_range))
            content = state.files.get(self.path)
            if state.refusals:
                self.send_error(state.refusals.pop(0))
            elif content is None:
                self.send_error(404)
            else:
                self._send(content, asked_range)

        def _send(self, content: bytes, asked_range: str | None) -> None:
            begin = 0
            if asked_range and state.knows_ranges:
                match = re.fullmatch(r"bytes=(\d+)-", asked_range)
                assert match
                begin = int(match[1]) + state.shift_bytes
                self.send_response(206)
                last, total = len(content) - 1, len(content)
                self.send_header("Content-Range", f"bytes {begin}-{last}/{total}")
            else:
                self.send_response(200)
            if state.says_length:
                self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            end = begin + state.cuts.pop(0) if state.cuts else len(content)
            self.wfile.write(content[begin:end])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
