"""Recordings of nobody: a hum that swells and fades, with overtones and a little noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from worker.engine.request import Samples
from worker.engine.xtts.sample import Sample


@dataclass(frozen=True)
class Recording:
    """Some seconds of sound. `frames` [frames, channels]"""

    frames: Samples
    rate_hz: int

    @property
    def sample(self) -> Sample:
        """What reading its file would give, but for rounding."""
        length, channels = self.frames.shape
        return Sample(self.frames.mean(axis=1), self.rate_hz, channels, length / self.rate_hz)

    def write(self, file: Path) -> Path:
        """Write a WAV file and return it."""
        soundfile.write(file, self.frames, self.rate_hz, subtype="PCM_16")
        return file


def recorded(
    duration_s: float,
    rate_hz: int,
    *,
    channels: int = 1,
    pitch_hz: float = 190.0,
    level: float = 0.3,
) -> Recording:
    """Return the same recording for the same arguments; channels differ from one another."""
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).standard_normal((len(times), channels))
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * times)
    hum = sum(np.sin(2 * np.pi * pitch_hz * n * times) / n for n in range(1, 6))
    channel_levels = np.linspace(1, 0.5, channels)
    frames = level * (swell * hum / 2)[:, None] * channel_levels + 0.005 * noise
    return Recording(frames.astype(np.float32), rate_hz)
