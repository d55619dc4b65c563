"""What can be wrong with a conversion itself; files raise `CheckpointError`."""

from __future__ import annotations

from ..errors import ChunkFailed


class UnfitAudio(ChunkFailed):
    """The audio cannot be converted. Says what is wrong with it."""

    reason = "unfit_audio"


class UnfitVoice(ChunkFailed):
    """The voice cannot do what is asked of it. Says which voice, and what."""

    reason = "unfit_voice"
