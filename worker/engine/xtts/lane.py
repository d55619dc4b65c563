"""Windows that wait for others of their width, to be computed with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .window_batch import Computed, Piece, WindowBatch
from .windows import Window

#: (frames of an utterance, widths) -> its windows.
Cut = Callable[[int, Sequence[int]], list[Window]]


@dataclass(slots=True)
class _Queue:
    """Windows of one width that wait for their batch."""

    batch: WindowBatch
    pieces: deque[Piece] = field(default_factory=deque)
    #: Calls of `computed` since a window began to wait.
    waited: int = 0


class Lane:
    """One queue a width. Utterances in one lane share batches, and none with those of another."""

    def __init__(self, batches: Mapping[int, WindowBatch], cut: Cut, patience: int) -> None:
        """A window waits for `patience` calls of `computed`, if its batch is not full before."""
        self._queues = {width: _Queue(batch) for width, batch in batches.items()}
        self._cut = cut
        self._patience = patience

    def impatient(self) -> Lane:
        """Return a lane of the same batches in which nothing waits."""
        return Lane({width: queue.batch for width, queue in self._queues.items()}, self._cut, 0)

    @property
    def waiting(self) -> int:
        """How many windows wait."""
        return sum(len(queue.pieces) for queue in self._queues.values())

    def windows(self, frames: int) -> list[Window]:
        """Return what an utterance is cut into here. It depends on nothing but its length."""
        return self._cut(frames, tuple(self._queues))

    def add(self, piece: Piece) -> bool:
        """Let a window wait; False if there is no batch of its width."""
        queue = self._queues.get(piece.window.width)
        if queue is None:
            return False
        queue.pieces.append(piece)
        return True

    def computed(self, *, flush: bool) -> Iterator[Computed]:
        """Have the device compute all batches that are full, have waited, or all with `flush`."""
        for queue in self._queues.values():
            rows = queue.batch.room
            while len(queue.pieces) >= rows or (
                queue.pieces and (flush or queue.waited >= self._patience)
            ):
                count = min(rows, len(queue.pieces))
                yield queue.batch.compute([queue.pieces.popleft() for _ in range(count)])
                queue.waited = queue.waited if count == rows else 0
            queue.waited = queue.waited + 1 if queue.pieces else 0
