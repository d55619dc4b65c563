"""Fetching one published file: it goes on where it stopped, and only the right bytes get its name.

The file grows under `NAME.part` beside its place, and is renamed when its hash is right. HTTP by
the standard library: huggingface_hub 2.4 throws away what it has when it is interrupted, looks at
no hash of what came over plain HTTP, and is more than a client of the farm should install.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from io import BufferedRandom
from pathlib import Path
from typing import Final, NoReturn
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from .errors import DownloadFailed
from .published import PublishedFile
from .version import VERSION

#: Seconds that a server may be silent.
SILENCE_S: Final = 30.0

#: Pauses before a new try when the last one has brought nothing. One that has brought something
#: is followed by the next at once, and all of these may be had again.
PAUSES_S: Final = (1.0, 4.0)

#: How much is read, written and told of at once.
_PIECE_BYTES: Final = 1 << 20

#: Answers that another try may better.
_PASSING: Final = frozenset((408, 425, 429, 500, 502, 503, 504))

#: Told after each piece: how many bytes of the file are here.
Show = Callable[[int], None]


class _Cut(Exception):
    """The connection, or this answer, has ended early."""


class Download:
    """One file on its way from a URL into a directory."""

    def __init__(self, url: str, file: PublishedFile, directory: Path, show: Show) -> None:
        self._url = url
        self._file = file
        self._directory = directory
        self._show = show

    def run(self) -> None:
        """Fetch what is missing of the file, prove it, and give it its name.

        Raises `DownloadFailed`. What has arrived stays for the next time, unless it is wrong.
        """
        try:
            self._run()
        # Those of the network have become `_Cut` by now.
        except OSError as error:
            raise self._failed(f"cannot be written: {error.strerror}") from error

    def _run(self) -> None:
        part = self._file.part(self._directory)
        with part.open("a+b") as output:
            self._lock(output)
            resumed = output.tell() > 0
            self._fill(output)
            if not self._is_right(output) and resumed:
                # What was here before may be to blame, so it is left out once.
                _empty(output)
                self._fill(output)
            if not self._is_right(output):
                part.unlink()
                raise self._failed(
                    "the server sends another file than the published one (its SHA-256 differs); "
                    "nothing of it was kept"
                )
            os.fsync(output.fileno())
            part.replace(self._directory / self._file.name)
        _make_names_durable(self._directory)

    def _fill(self, output: BufferedRandom) -> None:
        """Try until the file is complete, or nothing has come as often as is allowed."""
        pauses = iter(PAUSES_S)
        while (before := output.tell()) < self._file.size_bytes:
            try:
                self._receive(output)
            except _Cut as cut:
                if output.tell() > before:
                    pauses = iter(PAUSES_S)
                    continue
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise self._failed(f"{self._url} cannot be reached: {cut}") from cut
                time.sleep(pause_s)

    def _receive(self, output: BufferedRandom) -> None:
        """Append what one answer brings. Raises `_Cut` if it ends early."""
        with self._answer(output) as answer:
            while piece := _read(answer):
                output.write(piece)
                if output.tell() > self._file.size_bytes:
                    raise self._not_published(f"more than {self._file.size_bytes:,} bytes")
                self._show(output.tell())
        output.flush()
        if output.tell() < self._file.size_bytes:
            raise _Cut("the connection was cut")

    @contextmanager
    def _answer(self, output: BufferedRandom) -> Iterator[HTTPResponse]:
        """Ask for the rest of the file; what is here is dropped if the server begins anew."""
        held = output.tell()
        headers = {"User-Agent": f"voicefarm/{VERSION}"}
        if held:
            headers["Range"] = f"bytes={held}-"
        try:
            # The settings let http and https pass alone.
            answer = urlopen(Request(self._url, headers=headers), timeout=SILENCE_S)  # noqa: S310
        except HTTPError as error:
            error.close()
            self._refused(error, output)
        except (OSError, HTTPException) as error:
            raise _Cut(str(getattr(error, "reason", error))) from error
        with answer:
            begin, total = _span(answer)
            if total is not None and total != self._file.size_bytes:
                raise self._not_published(f"{total:,} bytes")
            if begin != held:
                _empty(output)
            if begin not in (0, held):
                raise _Cut("the server answers with another part than was asked for")
            yield answer

    def _refused(self, error: HTTPError, output: BufferedRandom) -> NoReturn:
        """Turn an answer that is none into `_Cut`, if another try may help."""
        if error.code == 416:
            _empty(output)
        elif error.code not in _PASSING:
            raise self._failed(f"{self._url} answers {error.code} {error.reason}") from error
        raise _Cut(f"it answers {error.code} {error.reason}") from error

    def _is_right(self, output: BufferedRandom) -> bool:
        output.flush()
        output.seek(0)
        found = hashlib.file_digest(output, "sha256").hexdigest()
        return found == self._file.sha256

    def _lock(self, output: BufferedRandom) -> None:
        try:
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise self._failed("is being fetched by another process") from error

    def _not_published(self, found: str) -> DownloadFailed:
        return self._failed(
            f"{self._url} has {found}, the published file has {self._file.size_bytes:,}"
        )

    def _failed(self, problem: str) -> DownloadFailed:
        return DownloadFailed(self._file.name, problem)


def is_published(file: Path, published: PublishedFile) -> bool:
    """Tell whether a file is the published one, by its size and its hash."""
    if file.stat().st_size != published.size_bytes:
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == published.sha256


def _read(answer: HTTPResponse) -> bytes:
    try:
        return answer.read(_PIECE_BYTES)
    except (OSError, HTTPException) as error:
        raise _Cut(str(error) or type(error).__name__) from error


def _span(answer: HTTPResponse) -> tuple[int, int | None]:
    """Return at which byte of the file an answer begins, and how long the file is, if it says."""
    if answer.status == 206:
        told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if told is None:
            raise _Cut("the server does not say which part it sends")
        return int(told[1]), None if told[2] == "*" else int(told[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _empty(file: BufferedRandom) -> None:
    file.seek(0)
    file.truncate()


def _make_names_durable(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
