"""What can be wrong with a conversion itself; files raise `CheckpointError`."""

from __future__ import annotations

from ..errors import UnfitAudio, UnfitVoice

__all__ = ["UnfitAudio", "UnfitVoice"]
