"""Requests for an engine that converts, what comes of them, and a converter that is watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from worker.engine.converter import Converted, Source
from worker.engine.fake import tones
from worker.engine.fake_converter import FakeConverter, ringing
from worker.engine.request import ChunkRequest, ConversionRequest, Recording

#: The rate of what the fake model says.
FAKE_HZ = 24000


def spoken(name: str, voice: str = "robot", text: str = "Hello", **fields: Any) -> ChunkRequest:
    wanted = ConversionRequest(voice, 11, fields.pop("wanted", {}))
    return ChunkRequest(name, text, "en", "default", 7, conversion=wanted, **fields)


def plain(name: str, text: str = "Hello") -> ChunkRequest:
    return ChunkRequest(name, text, "en", "default", 7)


def converted(name: str, piece: Recording, voice: str = "alien") -> ChunkRequest:
    wanted = ConversionRequest(voice, 5)
    return ChunkRequest(name, "", "", "", 0, conversion=wanted, recording=piece)


def expected(request: ChunkRequest) -> np.ndarray[Any, Any]:
    """What the fake converter makes of what the fake model says."""
    assert request.conversion is not None
    said = tones(request)
    return ringing(Source(request.id, said, FAKE_HZ, request.conversion))


class WatchedConverter(FakeConverter):
    """Tells what was in its batches, and can be held or made to stumble."""

    def __init__(self, baton: Callable[[float], None] = lambda _: None, **given: Any) -> None:
        super().__init__(**given)
        self.batches: list[list[str]] = []
        self.stumbles_on: dict[str, Exception] = {}
        self._baton = baton

    def convert(self, sources: Sequence[Source]) -> Converted:
        self.batches.append([source.id for source in sources])
        self._baton(0.0)
        for source in sources:
            if source.id in self.stumbles_on:
                raise self.stumbles_on[source.id]
        return super().convert(sources)
