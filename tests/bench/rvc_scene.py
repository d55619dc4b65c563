"""What RVC is measured with: networks, voices, recordings, and what voices are told to say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.engine.rvc.clip import Clip
from worker.engine.rvc.content import Content
from worker.engine.rvc.converter import Converter
from worker.engine.rvc.pitch import Pitch
from worker.engine.rvc.synthesizer import Limits, Synthesizer
from worker.engine.rvc.utterance import Utterance
from worker.engine.rvc.voice import Voice

from .rvc_networks import Random, Shapes, content_of, rmvpe_of, voice_of

#: Frames of 10 ms that the converter adds at both ends of a recording.
PAD_FRAMES = 200


@dataclass(frozen=True)
class Scene:
    """Networks in one precision. The same seeds give the same networks in another, rounded."""

    device: torch.device
    content: Content
    pitch: Pitch
    synthesizer: Synthesizer
    voices: list[Voice]

    @classmethod
    def of(
        cls, device: torch.device, dtype: torch.dtype, shapes: Shapes, voices: int, *,
        triton: bool = True, limits: Limits | None = None,
    ) -> Scene:  # fmt: skip
        return cls(
            device,
            Content(content_of(Random(device, dtype, 1), shapes)),
            Pitch(rmvpe_of(Random(device, dtype, 2), shapes)),
            Synthesizer(triton=triton, limits=limits, graphs=device.type == "cuda" and triton),
            [voice_of(number, Random(device, dtype, 3), shapes) for number in range(voices)],
        )

    def converter(self, pitch: Pitch | None = None) -> Converter:
        return Converter(self.content, pitch or self.pitch, self.synthesizer)

    def clips(self, waves: list[Tensor]) -> list[Clip]:
        """One recording after the other to one voice after the other."""
        return [
            Clip(wave, 16000, self.voices[place % len(self.voices)], seed=place)
            for place, wave in enumerate(waves)
        ]


def wave_of(seconds: float, device: torch.device, seed: int) -> Tensor:
    """A hum that glides, and noise: networks of random numbers hear no speech anyway."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.arange(round(16000 * seconds)) / 16000
    phase = torch.cumsum(150 + 40 * torch.sin((1.7 + seed % 5) * times), 0) / 16000
    noise = torch.randn(len(times), generator=generator)
    return (0.1 * torch.sin(2 * torch.pi * phase) + 0.05 * noise).to(device)


def glide(frames: int, device: torch.device) -> Tensor:
    """A pitch that glides, with breaks in it, [frames] float64."""
    places = torch.arange(frames, dtype=torch.float64, device=device)
    return torch.where(places % 50 < 8, 0.0, 150 + 40 * torch.sin(places / 31))


def utterance_of(features: Tensor, seed: int) -> Utterance:
    """What the converter makes of features every 20 ms: all but what it has added is kept."""
    twice = features.repeat_interleave(2, dim=0)
    f0_hz = glide(len(twice), twice.device)
    steps = (f0_hz / 4).long().clamp(1, 255)
    pad = min(PAD_FRAMES // 2, (len(twice) - 1) // 2)
    return Utterance(twice, steps, f0_hz.float(), (pad, len(twice) - pad), seed=seed)
