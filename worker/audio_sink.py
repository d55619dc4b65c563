"""The file as an encoder of audio sees it: one that never fails, and that is written seldom."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from .gathered import Piece, write_gathered

#: Bytes from which on what is to be written goes to the system. A shorter file is made in memory
#: and written as a whole: half a minute of WAV at 24 kHz, as most jobs are.
TOGETHER_BYTES: Final = 2 << 20

#: What an encoder writes in shorter pieces is put together up to so many; longer ones are held as
#: they are.
_PIECE_BYTES: Final = 64 << 10

#: Bytes of a file that are read together for its hash.
_READ_BYTES: Final = 1 << 20


class AudioSink:
    """A file for one encoder, which writes, seeks and tells.

    By a path, libsndfile would lose the error number of a full disk, and would fsync each
    file by itself when it is closed. So the error is kept here, for `check`.

    Its place is kept here too, and what is written is held as long as it is short: each call of
    the system gives the interpreter away to another thread. What is given must not change.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        #: None until something is written to it.
        self._file: int | None = None
        self._is_closed = False
        self._place = 0
        #: What is not written yet, one piece behind the other, and where in the file they begin.
        self._held: list[Piece] = []
        self._held_bytes = 0
        self._held_from = 0
        #: Up to where it was ever written.
        self.size_bytes = 0
        self._error: OSError | None = None

    def write(self, data: Piece) -> int:
        """Write at the present place."""
        is_next = self._place == self._held_from + self._held_bytes
        if is_next or not self._put_within(data):
            if not is_next:
                self._write_out()
                self._held_from = self._place
            self._put_behind(data)
        self._place += len(data)
        self.size_bytes = max(self.size_bytes, self._place)
        if self._held_bytes >= TOGETHER_BYTES:
            self._write_out()
        return len(data)

    def flush(self) -> None:
        """Do nothing: an encoder's end is no reason to write."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place."""
        self._place = offset + (0, self._place, self.size_bytes)[whence]
        return self._place

    def tell(self) -> int:
        """Return the present place."""
        return self._place

    def seal(self) -> str:
        """Write what is left; return the hash of the whole file."""
        digest = hashlib.sha256()
        if self._file is None and self._held_from == 0:
            # It is all here.
            for piece in self._held:
                digest.update(piece)
            self._write_out()
            return digest.hexdigest()
        self._write_out()
        for place in range(0, self.size_bytes, _READ_BYTES):
            digest.update(os.pread(self._opened(), _READ_BYTES, place))
        return digest.hexdigest()

    def close(self) -> None:
        """Write what is left and let go of the file; may be called again."""
        if not self._is_closed:
            self._write_out()
            self._is_closed = True
            if self._file is not None:
                os.close(self._file)

    def check(self) -> None:
        """Raise the first error of a write."""
        if self._error is not None:
            raise self._error

    def _put_behind(self, data: Piece) -> None:
        last = self._held[-1] if self._held else b""
        if isinstance(last, bytearray) and len(last) + len(data) <= _PIECE_BYTES:
            last += data
        else:
            self._held.append(data if len(data) > _PIECE_BYTES else bytearray(data))
        self._held_bytes += len(data)

    def _put_within(self, data: Piece) -> bool:
        """Put it into the piece that has its place; False if there is none that has all of it."""
        start = self._place - self._held_from
        for number, piece in enumerate(self._held):
            if 0 <= start <= len(piece) - len(data):
                changed = self._held[number] = bytearray(piece)
                changed[start : start + len(data)] = data
                return True
            start -= len(piece)
        return False

    def _write_out(self) -> None:
        """Write what is held; the file is made at the first time."""
        held, place = self._held, self._held_from
        self._held, self._held_from = [], place + self._held_bytes
        self._held_bytes = 0
        try:
            if held and self._error is None:
                write_gathered(self._opened(), held, place)
        except OSError as error:
            self._error = error

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        return self._file
