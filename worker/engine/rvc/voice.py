"""A voice that is ready to convert into."""

from __future__ import annotations

from dataclasses import dataclass

from .retrieval import Index
from .voice_config import VoiceConfig
from .weights import SynthesizerWeights


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """One `.pth` and, maybe, one `.index`, on a device."""

    name: str
    config: VoiceConfig
    weights: SynthesizerWeights
    index: Index | None = None
    #: The middle of the voice's own pitch, if it is known: what `pitch="auto"` aims at.
    median_hz: float | None = None
    #: Hash of all that decides how it sounds; "" for a voice that is on no shelf.
    revision: str = ""
