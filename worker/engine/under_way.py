"""Batches of conversions that a device works on, and whose they are."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence

from .converter import Converting, Source
from .device_fault import is_device_fault
from .errors import ChunkFailed, EngineOutOfMemory
from .model import Outcome

logger = logging.getLogger(__name__)


class UnderWay:
    """The batches in the order in which they began. Used by one thread."""

    def __init__(self) -> None:
        self._batches: deque[tuple[Sequence[Source], Converting]] = deque()
        # What somebody still waits for; an id may be another's by now.
        self._sources: dict[str, Source] = {}

    @property
    def batches(self) -> int:
        """How many there are."""
        return len(self._batches)

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def add(self, sources: Sequence[Source], converting: Converting) -> None:
        """Keep a batch that has begun."""
        self._batches.append((sources, converting))
        self._sources |= {source.id: source for source in sources}

    def drop(self, source_id: str) -> None:
        """Forget whose a source is; its batch goes on. One that is not here is no error."""
        self._sources.pop(source_id, None)

    def ended(self, *, wait: bool) -> dict[str, Outcome]:
        """Return by id what is done; with `wait` a batch at least, if there is one."""
        found: dict[str, Outcome] = {}
        while self._batches and (wait or self._batches[0][1].is_done()):
            wait = False
            sources, converting = self._batches.popleft()
            for source, outcome in zip(sources, _outcomes(sources, converting), strict=True):
                if self._sources.get(source.id) is source:
                    del self._sources[source.id]
                    found[source.id] = outcome
        return found


def _outcomes(sources: Sequence[Source], converting: Converting) -> Sequence[Outcome]:
    try:
        return converting.outcomes()
    except Exception as error:
        if is_device_fault(error):
            raise
        logger.exception("a batch of %d conversions failed", len(sources))
        kind = EngineOutOfMemory if isinstance(error, MemoryError) else ChunkFailed
        return [kind(f"{type(error).__name__}: {error}") for _ in sources]
