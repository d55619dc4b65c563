"""Log files of this host, turned when they have become long.

Their writers keep them open, and hold a lock on them that is their claim to a name. So a long log
is copied and emptied in place: it is opened for appending, and goes on from its new end. What is
written between the copy and the emptying is lost.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .tidiness import Thing

#: A log that was turned: its name and how often.
_TURNED: Final = re.compile(r"(?P<log>.+\.log)\.(?P<turns>[1-9]\d*)")

#: The log of the farm's own broker, which writes where its farm is.
_BROKER: Final = "broker.log"


class LogFiles:
    """The logs in one directory that belong to one host."""

    def __init__(self, directory: Path, host: str, limit_bytes: int, kept: int) -> None:
        """A log longer than `limit_bytes` is turned, and `kept` turned ones are kept of each."""
        self._directory = directory
        self._host = host
        self._limit_bytes = limit_bytes
        self._kept = kept

    def long(self) -> Iterator[Thing]:
        """Yield the logs that are to be turned."""
        for path in self._directory.glob("*.log"):
            if path.name == _BROKER or path.name.endswith(f"@{self._host}.log"):
                facts = path.lstat()
                if facts.st_size > self._limit_bytes and not path.is_symlink():
                    yield Thing(path.name, facts.st_size, facts.st_mtime)

    def turn(self, thing: Thing) -> bool:
        """Move the turned ones on, copy the log and empty it; False if another process does."""
        log = self._directory / thing.name
        with (self._directory / f".turning@{self._host}").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # Another process may have been first.
            if log.stat().st_size <= self._limit_bytes:
                return False
            for turns in range(self._kept, 0, -1):
                turned = log.with_name(f"{log.name}.{turns}")
                if turned.exists():
                    turned.replace(log.with_name(f"{log.name}.{turns + 1}"))
            first = log.with_name(f"{log.name}.1")
            if self._kept:
                shutil.copyfile(log, first)
            os.truncate(log, 0)
        return True

    def surplus(self) -> Iterator[Thing]:
        """Yield the turned logs that are too many; of all hosts, as nobody writes to them."""
        for path in self._directory.iterdir():
            turned = _TURNED.fullmatch(path.name)
            if turned and int(turned["turns"]) > self._kept:
                facts = path.lstat()
                yield Thing(path.name, facts.st_size, facts.st_mtime)
