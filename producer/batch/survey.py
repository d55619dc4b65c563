"""A first look at a batch before anything of it is queued: how large it is, what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ..backlog import expected_s
from ..errors import InvalidItem
from ..languages import chunk_limit_chars
from ..text import split
from .cached import Cache
from .estimate import path_of
from .reading import Item

#: Wrong items that are told; there may be very many.
SHOWN: Final = 20


@dataclass
class Survey:
    """Counts of one reading."""

    items: int = 0
    chapters: int = 0
    chars: int = 0
    #: Pieces that an engine speaks at a time.
    chunks: int = 0
    #: Seconds of audio, expected.
    audio_s: float = 0.0
    invalid: int = 0
    #: The first that are wrong.
    problems: list[InvalidItem] = field(default_factory=list)
    #: Items that are converted into another voice behind their speech.
    converted: int = 0
    #: Items whose audio is on the volume already; None if that cannot be seen from here.
    cached: int | None = None
    #: Seconds of audio of those, expected.
    cached_s: float = 0.0

    @property
    def path(self) -> str:
        """The way through the engine that all items take."""
        return path_of(self.items - self.invalid, self.converted)


def survey(items: Iterable[Item | InvalidItem], cache: Cache | None = None) -> Survey:
    """Read all items once, keeping none; look for their audio in `cache`, if there is one."""
    found = Survey(cached=0 if cache is not None and cache.is_visible else None)
    for item in items:
        found.items += 1
        if isinstance(item, InvalidItem):
            found.invalid += 1
            if len(found.problems) < SHOWN:
                found.problems.append(item)
            continue
        found.chapters += bool(item.chapter)
        found.chars += len(item.job.text)
        found.chunks += len(split(item.job.text, chunk_limit_chars(item.job.language)))
        found.audio_s += expected_s(item.job)
        found.converted += item.job.convert is not None
        if found.cached is not None and cache is not None and cache.has(item.job):
            found.cached += 1
            found.cached_s += expected_s(item.job)
    return found
