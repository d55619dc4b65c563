"""What the worker holds: something that speaks, in this process or in another."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from .lifecycle import Facts, Phase
from .model import ModelOffer
from .request import ChunkRequest, Take


class SpeechEngine(Protocol):
    """`Engine` and `EngineProcess` are both this. Every method may be called by any thread."""

    @property
    def phase(self) -> Phase:
        """Where the engine is between its start and its end."""

    @property
    def ready(self) -> Future[ModelOffer]:
        """Resolves when the engine can first be asked, or with what kept it from that."""

    def start(self) -> None:
        """Begin to load, behind the caller's back."""

    def submit(self, request: ChunkRequest) -> Future[Take]:
        """Ask for a take. The future ends with it or with an `EngineError`.

        It runs its callbacks on the engine's thread: they must be quick. Raises `ValueError`
        while a chunk of the same id is in the engine.
        """

    def cancel(self, request_id: str) -> None:
        """Take a chunk out of the engine; its future ends with `TakeCancelled`.

        A take that is ready by then is still delivered. An unknown id is no error.
        """

    def capacity(self, interactive: bool = False) -> int:
        """Return how many more chunks of this class would be computed at once; 0 unless ready.

        Nor is there room for batch work while much audio is held that was given out before.
        """

    def snapshot(self) -> Facts:
        """Return what the engine is doing, without waiting for it."""

    def offer(self) -> ModelOffer:
        """Tell what can be asked for. Raises `EngineClosed` before the engine was ready."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop between two steps; chunks that are still here end with `EngineClosed`."""
