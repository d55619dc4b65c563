"""Many pieces of memory written to one place of a file, in as few calls of the system as it takes.

Each call gives the interpreter away to another thread, and a fast farm writes a hundred of them a
second: so pieces are not put together in memory first either, which would hold the interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

#: What holds bytes.
Piece = bytes | bytearray | memoryview


def write_gathered(descriptor: int, pieces: Sequence[Piece], place: int = 0) -> None:
    """Write all pieces, one behind the other, from `place` on. Raises `OSError`."""
    left = [memoryview(piece) for piece in pieces if piece]
    while left:
        written = os.pwritev(descriptor, left, place)
        place += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        left[:1] = [piece[written:] for piece in left[:1]]
