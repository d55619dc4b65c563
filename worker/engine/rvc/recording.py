"""A recording on its way into a voice: its samples wherever they are, its stretches, its pitch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..transfers import uploaded
from .clip import Conversion
from .splitting import FRAME, Wave
from .stretches import Stretch
from .utterance import Utterance
from .voice import Voice


@dataclass(slots=True, eq=False)
class Recording:
    """What is known of it so far. Its samples are high-passed."""

    voice: Voice
    conversion: Conversion
    wave: Wave
    #: Samples by which it is continued at both ends, as its mirror image.
    pad: int
    stretches: list[Stretch]
    speaker: int = 0
    seed: int = 0
    #: The pitch as the voice is to follow it, [frames] float32, and its steps.
    f0_hz: Tensor | None = None
    steps: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.voice.weights.speakers.device

    @property
    def padded_samples(self) -> int:
        """With what was added at both ends."""
        return len(self.wave) + 2 * self.pad

    @property
    def frames(self) -> int:
        """Of 10 ms in the padded recording."""
        return self.padded_samples // FRAME

    def span(self, start: int, end: int) -> Tensor:
        """Return samples of the padded recording, on the device."""
        first, last, samples = start - self.pad, end - self.pad, len(self.wave)
        if first >= samples or last <= 0 or max(-first, last - samples) >= samples:
            return self._mirrored_often(first, last)
        within = self.wave[max(0, first) : min(last, samples)].to(self.device)
        parts = [within]
        if first < 0:
            parts.insert(0, self.wave[1 : 1 - first].to(self.device).flip(0))
        if last > samples:
            behind = self.wave[2 * samples - 1 - last : samples - 1]
            parts.append(behind.to(self.device).flip(0))
        return torch.cat(parts) if len(parts) > 1 else within

    def _mirrored_often(self, first: int, last: int) -> Tensor:
        """Return samples `first .. last` of the wave, mirrored over and over where it is short."""
        period = max(1, 2 * (len(self.wave) - 1))
        places = np.arange(first, last) % period
        places = np.minimum(places, period - places)
        lowest, highest = int(places.min()), int(places.max())
        within = self.wave[lowest : highest + 1].to(self.device)
        return within[uploaded(places - lowest, self.device)]

    def follow(self, f0_hz: Tensor, steps: Tensor) -> None:
        """Set the pitch, [frames] float32, and the steps of it, [frames] int64."""
        self.f0_hz = f0_hz
        self.steps = steps

    def curve(self, stretch: Stretch) -> Tensor | None:
        """Return the pitch of a stretch, [frames] float32."""
        if self.f0_hz is None:
            return None
        return self.f0_hz[stretch.first_frame : stretch.first_frame + stretch.frames]

    def utterance(self, number: int, features: Tensor) -> Utterance:
        """Return what the voice is to say in one of the stretches."""
        stretch = self.stretches[number]
        span = slice(stretch.first_frame, stretch.first_frame + stretch.frames)
        return Utterance(
            features=features,
            coarse=None if self.steps is None else self.steps[span],
            f0_hz=self.curve(stretch),
            keep=stretch.keep,
            speaker=self.speaker,
            # Stretches of one recording must not share their noise.
            seed=(self.seed + number) % 2**63,
        )
