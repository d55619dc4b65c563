"""What conversions are tested with: voices on the processor, and something that they can say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from worker.engine.converter import Source
from worker.engine.request import ConversionRequest
from worker.engine.rvc.index_file import read_index
from worker.engine.rvc.parcel import parcel
from worker.engine.rvc.retrieval import Index
from worker.engine.rvc.voice import Voice
from worker.engine.rvc.voice_file import read_voice
from worker.engine.rvc.weights import prepare

#: As other programs do it: what the converter does by itself.
COMPAT = {"length": "compat"}


def speech(seconds: float, seed: int = 0) -> Tensor:
    """Syllables of a humming voice at 16 kHz, quiet between them, some noise throughout."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.arange(round(16000 * seconds)) / 16000
    phase = torch.cumsum(140 + 40 * torch.sin(2.1 * times), 0) / 16000
    voice = sum(torch.sin(2 * torch.pi * k * phase) / k for k in range(1, 12))
    swell = torch.sin(5.3 * times).clamp_min(0) ** 0.5
    return 0.2 * swell * voice + 0.003 * torch.randn(len(times), generator=generator)


def loaded(file: Path, index: Path | None = None) -> Voice:
    """A voice on the processor in float32."""
    found = read_voice(file)
    weights = parcel(prepare(found), torch.float32).tree
    return Voice("tiny", found.config, weights, index and Index(read_index(index)))


def source(name: str, voice: str, seconds: float = 1.0, **parameters: Any) -> Source:
    """What one says, to be converted into `voice`; its name decides what that is."""
    samples = speech(seconds, seed=len(name)).numpy()
    wanted = ConversionRequest(voice, 17, {**COMPAT, **parameters})
    return Source(name, samples, 16000, wanted)
