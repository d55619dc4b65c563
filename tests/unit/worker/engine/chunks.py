"""Chunks for an engine with the fake model, and models that count or stumble."""

from __future__ import annotations

from typing import Any

from worker.engine.fake import FakeModel, FakeOptions
from worker.engine.request import ChunkRequest


def chunk(name: str, text: str = "Hello", **fields: Any) -> ChunkRequest:
    return ChunkRequest(name, text, "en", fields.pop("voice", "default"), 7, **fields)


def bursts(count: int) -> str:
    """A text that takes so many bursts of the held model."""
    return "m" * count


class CountingModel(FakeModel):
    """Tells how many rows it has."""

    @property
    def rows(self) -> int:
        return len(self._rows)


class StumblingModel(CountingModel):
    """Fails once, at one of its methods."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__(FakeOptions())
        self.stumbles = {method: error}

    def _at(self, method: str) -> None:
        if (error := self.stumbles.pop(method, None)) is not None:
            raise error

    def prefill(self, rows):
        super().prefill(rows)
        self._at("prefill")

    def decode(self):
        self._at("decode")
        return super().decode()

    def vocode(self, slots, *, wait):
        self._at("vocode")
        return super().vocode(slots, wait=wait)
