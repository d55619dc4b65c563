"""What can be wrong with model files, and with the recordings that voices are made of."""

from __future__ import annotations

from pathlib import Path

from ..errors import EngineError


class CheckpointError(EngineError):
    """A file of the checkpoint cannot be used. Names the file and what is wrong in it."""

    reason = "bad_checkpoint"

    def __init__(self, file: Path, fault: str) -> None:
        super().__init__(f"{file}: {fault}")
        self.file = file


class BadSample(EngineError):
    """No voice can be made of a recording. Names it, and says what is wrong with it."""
