"""Audio that was made and that somebody still holds: a disk may be slower than the engine.

Jobs read their takes in order and write them. Where they cannot keep up, takes pile up in memory,
and a worker that went on taking jobs would have no end of them.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import Final

from .request import Samples

#: From so much on no batch work is taken. What is in hand goes on: a chapter or two.
LIMIT_BYTES: Final = 1 << 30


class Unread:
    """Counts the bytes of samples that are held. Thread-safe."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._held_bytes = 0
        # Samples are dropped anywhere, also by the collector while the lock is held: so this
        # needs none.
        self._dropped_bytes: deque[int] = deque()

    def counted(self, samples: Samples) -> Samples:
        """Return the same samples, which count until nobody holds what was returned."""
        view = samples.view()
        end = weakref.finalize(view, self._dropped_bytes.append, view.nbytes)
        end.atexit = False
        with self._lock:
            self._held_bytes += view.nbytes
        return view

    @property
    def held_bytes(self) -> int:
        """How many bytes are held now."""
        with self._lock:
            while self._dropped_bytes:
                self._held_bytes -= self._dropped_bytes.popleft()
            return self._held_bytes

    @property
    def is_much(self) -> bool:
        """True if no more batch work should be taken."""
        return self.held_bytes >= self._limit_bytes
