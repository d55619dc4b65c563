"""Every error of the engine.

* EngineError
  + UnknownVoice         the model has no such voice
  + UnsupportedLanguage  the model does not speak this language
  + CheckpointError      a file of a model or a voice cannot be used
  + LibraryError         a voice cannot be kept, found or removed
  + ChunkFailed          this chunk failed by itself; its neighbours go on
    - UnfitAudio         the audio cannot be converted
    - UnfitVoice         the voice cannot do what is asked of it
  + NoConversion         nothing can be converted here
  + ChunkTooLong         the model cannot take so much text at once; its parts can be spoken
  + EngineOutOfMemory    the batch did not fit
  + EngineDied           the engine's process ended with this chunk alone in it, too often
  + EngineClosed         the engine no longer takes work
  + TakeCancelled        the chunk was cancelled; its row has left the batch

`reason` is the word under which the ledger files the failure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self


class EngineError(Exception):
    """The root of what an engine's future may raise."""

    reason = "engine_failed"

    @classmethod
    def saying(cls, words: str) -> Self:
        """Return one that says what one of another process has said."""
        return cls.__new__(cls, words)

    def again(self) -> Self:
        """Return another one that says the same, for somebody else."""
        return self.saying(str(self))


class UnknownVoice(EngineError):
    """The model has no voice of this name."""

    reason = "unknown_voice"


class UnsupportedLanguage(EngineError):
    """The model does not speak this language."""

    reason = "unsupported_language"


class CheckpointError(EngineError):
    """A file of a model or a voice cannot be used. Names the file and what is wrong in it."""

    reason = "bad_checkpoint"

    def __init__(self, file: Path, fault: str) -> None:
        super().__init__(f"{file}: {fault}")


class LibraryError(EngineError):
    """A voice cannot be kept, found or removed. Says which, and what to do."""


class ChunkFailed(EngineError):
    """One chunk failed by itself."""


class NoConversion(EngineError):
    """This engine converts nothing. Says what it lacks."""

    reason = "unsupported_feature"


class ChunkTooLong(EngineError):
    """The text of one chunk is more than the model takes at once."""


class UnfitAudio(ChunkFailed):
    """The audio cannot be converted. Says what is wrong with it."""

    reason = "unfit_audio"


class UnfitVoice(ChunkFailed):
    """The voice cannot do what is asked of it. Says which voice, and what."""

    reason = "unfit_voice"


class EngineOutOfMemory(EngineError):
    """The chunk does not fit into the device's memory, even alone."""

    reason = "out_of_memory"


class EngineDied(EngineError):
    """The engine's process died with this chunk alone in it, as often as is allowed."""

    reason = "poison"


class EngineClosed(EngineError):
    """The engine is closing, or was never started."""


class TakeCancelled(EngineError):
    """The chunk was cancelled before it was finished."""

    reason = "cancelled"
