"""A voice that is ready for a device, in memory of the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .parcel import Parcel
from .retrieval import Index
from .voice import Voice
from .voice_config import VoiceConfig
from .weights import SynthesizerWeights


@dataclass(frozen=True, slots=True, eq=False)
class PackedVoice:
    """All of a voice; its weights are one piece of memory."""

    name: str
    revision: str
    config: VoiceConfig
    weights: Parcel[SynthesizerWeights]
    index: Index | None
    median_hz: float | None

    @property
    def size_bytes(self) -> int:
        """Of weights and index."""
        return self.weights.size_bytes + (self.index.size_bytes if self.index else 0)

    def moved(self, move: Callable[[Tensor], Tensor]) -> PackedVoice:
        """Return the same with every piece of memory moved."""
        index = self.index.moved(move) if self.index else None
        weights = self.weights.moved(move)
        return PackedVoice(self.name, self.revision, self.config, weights, index, self.median_hz)

    def voice(self) -> Voice:
        """Return it as the converter has it."""
        return Voice(
            self.name, self.config, self.weights.tree, self.index, self.median_hz, self.revision
        )
