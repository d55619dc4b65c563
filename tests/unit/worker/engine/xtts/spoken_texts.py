"""What the tests of the model have it say."""

from __future__ import annotations

from typing import Any

from worker.engine.request import ChunkRequest

#: Fewer than there are requests, so that rows join and leave.
SLOTS = 3

RATE_HZ = 24000

TEXTS = {
    "en": "Hello from the farm.",
    "pt": "Bom dia a todos, amigos. São 3 horas.",
    "de": "Guten Tag, wie geht es?",
}


def chunk(
    name: object, text: str, language: str = "en", voice: str = "alice", **parameters: Any
) -> ChunkRequest:
    return ChunkRequest(str(name), text, language, voice, 7, parameters)
