"""Recordings in, the same in other voices out: many at once, each as if it were alone.

    prepare -> pitch -> content -> retrieval -> synthesizer -> loudness

The steps and their order are upstream's. Pitch and content are computed over all recordings at
once, retrieval and synthesizer over all recordings of a voice.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

from ..errors import ChunkFailed
from .clip import Clip
from .content import Content
from .errors import UnfitAudio
from .highpass import EDGE, high_passed
from .loudness import limited, mixed
from .pitch import Pitch
from .recording import Recording
from .resampling import finely_resampled, resampled
from .splitting import RATE_HZ, Splitting, cuts
from .stages import Part, Stages
from .stretches import Stretch, stretches
from .synthesizer import Synthesizer

#: A recording that is louder than this is made quieter before all else.
INPUT_PEAK: Final = 0.95

#: Rates of recordings.
LEAST_HZ: Final = 2000
MOST_HZ: Final = 384000

NOT_FINITE: Final = "the audio holds numbers that are not finite"


class Converter:
    """The whole way on one device. Used by one thread at a time."""

    def __init__(
        self,
        content: Content,
        pitch: Pitch,
        synthesizer: Synthesizer,
        *,
        splitting: Splitting | None = None,
        batch_s: int = 320,
    ) -> None:
        """`batch_s` bounds the seconds of a batch of content or pitch, and so its memory."""
        self.stages = Stages(content, pitch, synthesizer, splitting, batch_s)

    @torch.inference_mode()
    def convert(self, clips: Sequence[Clip]) -> list[Tensor | Exception]:
        """Return the samples of each clip in its voice, in order, or what is wrong with it alone.

        Samples are float32 on the device, at the clip's `output_rate_hz`. What is wrong is a
        `ChunkFailed`: `UnfitAudio`, `UnfitVoice`, or a missing library.
        """
        work, results = self._prepared(clips)
        places = {recording: place for place, recording in work.items()}
        for found in self.stages.find_pitch(list(work.values())):
            if found is not None and found[1] is not None:
                results[places[found[0]]] = found[1]
                del work[places[found[0]]]
        parts = [Part(one, number) for one in work.values() for number in range(len(one.stretches))]
        spoken = iter(self.stages.spoken(parts, self.stages.features(parts)))
        for place, one in work.items():
            samples = torch.cat([next(spoken) for _ in one.stretches])
            results[place] = _finished(clips[place], one.wave[:], samples)
        return [results[place] for place in range(len(clips))]

    def _prepared(
        self, clips: Sequence[Clip]
    ) -> tuple[dict[int, Recording], dict[int, Tensor | Exception]]:
        """Bring everything to 16 kHz, without what is too low, split."""
        work: dict[int, Recording] = {}
        failed: dict[int, Tensor | Exception] = {}
        waves: dict[int, Tensor] = {}
        for place, clip in enumerate(clips):
            try:
                clip.check(self.stages.content.width(clip.voice.config.version))
                waves[place] = _at_16_khz(clip)
            except ChunkFailed as error:
                failed[place] = error
        # One look at the device for all of them.
        for place, peak in zip(list(waves), _peaks(waves.values()), strict=True):
            if math.isfinite(peak):
                waves[place] = waves[place] / max(1.0, peak / INPUT_PEAK)
            else:
                failed[place] = UnfitAudio(NOT_FINITE)
                del waves[place]
        for place, source in zip(waves, high_passed(list(waves.values())), strict=True):
            try:
                work[place] = self._split(clips[place], source)
            except ChunkFailed as error:
                failed[place] = error
        return work, failed

    def _split(self, clip: Clip, source: Tensor) -> Recording:
        splitting = self.stages.splitting
        is_exact = clip.conversion.length == "exact"
        planned = planned_stretches(len(source), splitting, cuts(source, splitting), is_exact)
        return Recording(
            clip.voice,
            clip.conversion,
            source,
            splitting.pad,
            planned,
            speaker=clip.speaker,
            seed=clip.seed,
        )


def planned_stretches(
    samples: int, splitting: Splitting, places: Sequence[int], is_exact: bool
) -> list[Stretch]:
    """Return the stretches of a recording at 16 kHz. Raises `UnfitAudio` if nothing is left."""
    planned = stretches(samples, splitting.pad, places, exact=is_exact)
    if not planned:
        milliseconds = 1000 * samples // RATE_HZ
        raise UnfitAudio(f"the audio lasts {milliseconds} ms: too short, or use length=exact")
    return planned


def check_rate(rate_hz: int) -> None:
    """Raise `UnfitAudio` for a rate that no recording has."""
    if not LEAST_HZ <= rate_hz <= MOST_HZ:
        raise UnfitAudio(f"the audio has {rate_hz} Hz, and {LEAST_HZ} to {MOST_HZ} are known")


def check_samples(samples: int) -> None:
    """Raise `UnfitAudio` for less at 16 kHz than can be filtered."""
    if samples <= EDGE:
        raise UnfitAudio(f"the audio has {samples} samples at 16 kHz, and {EDGE + 1} are needed")


def _at_16_khz(clip: Clip) -> Tensor:
    check_rate(clip.rate_hz)
    samples = clip.samples.to(clip.voice.weights.speakers.device, torch.float32)
    if samples.dim() == 2:
        samples = samples.mean(1)
    wave = resampled(samples, clip.rate_hz, RATE_HZ)
    check_samples(len(wave))
    return wave


def _peaks(waves: Collection[Tensor]) -> list[float]:
    """Return the largest magnitude of each; not finite where a wave is not."""
    found: list[float] = torch.stack([wave.abs().max() for wave in waves]).tolist() if waves else []
    return found


def _finished(clip: Clip, source: Tensor, samples: Tensor) -> Tensor:
    """Return what leaves: of the right length, loudness and rate."""
    rate_hz = clip.voice.config.sample_rate_hz
    is_exact = clip.conversion.length == "exact"
    duration_s = Fraction(len(clip.samples), clip.rate_hz)
    if is_exact:
        samples = samples[: round(duration_s * rate_hz)]
    samples = mixed(source, RATE_HZ, samples, rate_hz, clip.conversion.rms_mix_rate)
    if clip.output_rate_hz != rate_hz:
        samples = finely_resampled(samples, rate_hz, clip.output_rate_hz)
        if is_exact:
            samples = samples[: round(duration_s * clip.output_rate_hz)]
    return limited(samples)
