"""Recordings in, the same in other voices out: many at once, each as if it were alone.

    prepare -> content -> pitch -> retrieval -> synthesizer -> loudness

The steps are upstream's. Content and pitch are computed over all recordings at
once, retrieval and synthesizer over all recordings of a voice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from .resampling import finely_resampled, resampled_together
from .splitting import RATE_HZ, Splitting, cuts
from .stages import Part, Stages, grouped
from .stretches import Stretch, stretches
from .synthesizer import Synthesizer

#: A recording that is louder than this is made quieter before all else.
INPUT_PEAK: Final = 0.95

#: The magnitude from which on filters would overflow; what is not a number is not below.
_LOUDEST: Final = 1e24

#: Rates of recordings.
LEAST_HZ: Final = 2000
MOST_HZ: Final = 384000

#: Samples that get their loudness at once: some 400 MB while it is computed.
_LEAVING: Final = 1 << 23

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
        # What is said comes first: a GPU computes it while the host is busy with the pitch.
        said = self.stages.features(_parts_of(work.values()))
        for found in self.stages.find_pitch(list(work.values())):
            if not isinstance(found, int) and found[1] is not None:
                results[places[found[0]]] = found[1]
                del work[places[found[0]]]
        parts = _parts_of(work.values())
        spoken = iter(self.stages.spoken(parts, self.stages.blended(parts, said)))
        ends = [
            _End(place, clips[place], one.wave[:], _joined([next(spoken) for _ in one.stretches]))
            for place, one in work.items()
        ]
        for group in _together(ends):
            results.update(zip((end.place for end in group), _finished(group), strict=True))
        return [results[place] for place in range(len(clips))]

    def _prepared(
        self, clips: Sequence[Clip]
    ) -> tuple[dict[int, Recording], dict[int, Tensor | Exception]]:
        """Bring everything to 16 kHz, without what is too low, split."""
        failed: dict[int, Tensor | Exception] = {}
        fit: dict[int, Clip] = {}
        for place, clip in enumerate(clips):
            try:
                clip.check(self.stages.content.width(clip.voice.config.version))
                _check_sound(clip)
                fit[place] = clip
            except ChunkFailed as error:
                failed[place] = error
        sources = high_passed(_at_16_khz(list(fit.values())), INPUT_PEAK)
        work: dict[int, Recording] = {}
        for (place, clip), source in zip(fit.items(), sources, strict=True):
            try:
                work[place] = self._split(clip, source)
            except ChunkFailed as error:
                failed[place] = error
        return work, failed

    def _split(self, clip: Clip, source: Tensor) -> Recording:
        splitting = self.stages.splitting
        is_exact = clip.conversion.length == "exact"
        planned = planned_stretches(len(source), splitting, [*cuts(source, splitting)], is_exact)
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


def _check_sound(clip: Clip) -> None:
    """Raise `UnfitAudio` for what cannot be brought to 16 kHz and filtered."""
    check_rate(clip.rate_hz)
    # Samples are with the host, so that this does not wait for a device.
    if len(clip.samples) and not max(map(abs, map(float, clip.samples.aminmax()))) < _LOUDEST:
        raise UnfitAudio(NOT_FINITE)
    check_samples(-(-len(clip.samples) * RATE_HZ // clip.rate_hz))


def _at_16_khz(clips: Sequence[Clip]) -> list[Tensor]:
    """Return the clips' samples, mono, on the device of their voices."""
    waves: dict[int, Tensor] = {}
    for alike in grouped(range(len(clips)), lambda place: clips[place].rate_hz):
        device = clips[alike[0]].voice.weights.speakers.device
        mono = [_mono(clips[place].samples) for place in alike]
        found = resampled_together(mono, clips[alike[0]].rate_hz, RATE_HZ, device)
        waves.update(zip(alike, found, strict=True))
    return [waves[place] for place in range(len(clips))]


def _mono(samples: Tensor) -> Tensor:
    return samples.float().mean(1) if samples.dim() == 2 else samples


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]


def _parts_of(recordings: Iterable[Recording]) -> list[Part]:
    return [Part(one, number) for one in recordings for number in range(len(one.stretches))]


@dataclass(frozen=True, slots=True, eq=False)
class _End:
    """What is left of a clip's way: its recording, and what the voice made of it."""

    place: int
    clip: Clip
    source: Tensor
    samples: Tensor

    @property
    def rate_hz(self) -> int:
        return self.clip.voice.config.sample_rate_hz

    def kept(self, samples: Tensor, rate_hz: int) -> Tensor:
        """Return of samples at a rate as many as belong to the clip."""
        if self.clip.conversion.length != "exact":
            return samples
        return samples[: round(Fraction(len(self.clip.samples), self.clip.rate_hz) * rate_hz)]


def _together(ends: Sequence[_End]) -> Iterator[list[_End]]:
    """Yield those that leave as one batch: of one rate, and not too much at once."""
    for alike in grouped(ends, lambda end: (end.rate_hz, end.clip.output_rate_hz)):
        batch: list[_End] = []
        longest = 0
        for end in alike:
            longest = max(longest, len(end.samples))
            if batch and (len(batch) + 1) * longest > _LEAVING:
                yield batch
                batch, longest = [], len(end.samples)
            batch.append(end)
        yield batch


def _finished(ends: Sequence[_End]) -> list[Tensor]:
    """Return what leaves: of the right length, loudness and rate."""
    rate_hz, output_rate_hz = ends[0].rate_hz, ends[0].clip.output_rate_hz
    outputs = [end.kept(end.samples, rate_hz) for end in ends]
    mix_rates = [end.clip.conversion.rms_mix_rate for end in ends]
    batch = mixed([end.source for end in ends], RATE_HZ, outputs, rate_hz, mix_rates)
    if output_rate_hz == rate_hz:
        batch = limited(batch)
        return [row[: len(output)] for row, output in zip(batch, outputs, strict=True)]
    rows = [row[: len(output)] for row, output in zip(batch, outputs, strict=True)]
    fine = [finely_resampled(row, rate_hz, output_rate_hz) for row in rows]
    return [limited(end.kept(row, output_rate_hz)) for end, row in zip(ends, fine, strict=True)]
