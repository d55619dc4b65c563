"""Recordings in, the same in other voices out: many at once, each as if it were alone.

    prepare -> pitch -> content -> retrieval -> synthesizer -> loudness

The steps and their order are upstream's. Pitch and content are computed over all recordings at
once, retrieval and synthesizer over all recordings of a voice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeVar

import torch
from torch import Tensor

from ..errors import ChunkFailed
from .clip import Clip
from .content import Content
from .errors import UnfitAudio
from .highpass import EDGE, high_passed
from .host_pitch import praat_f0, world_f0
from .loudness import limited, mixed
from .mixture import protected, retrieved
from .pitch import Pitch
from .pitch_curve import bridged, coarse, semitones_between, shifted
from .resampling import finely_resampled, resampled
from .splitting import FRAME, RATE_HZ, Splitting, cuts, mirrored
from .stretches import Stretch, stretches
from .synthesizer import Synthesizer, Utterance

#: A recording that is louder than this is made quieter before all else.
_INPUT_PEAK: Final = 0.95

#: Rates of recordings.
LEAST_HZ: Final = 2000
MOST_HZ: Final = 384000

#: Recordings share a batch if the shortest has this share of the longest one's length.
_ALIKE: Final = 0.75

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class _Work:
    """A clip on its way."""

    place: int
    clip: Clip
    source: Tensor  # [samples] float64 at 16 kHz, high-passed
    padded: Tensor  # the same, mirrored at both ends
    stretches: list[Stretch]
    f0_hz: Tensor | None = None  # [frames of padded] float64
    #: Of each stretch, [frames, width] float32.
    features: list[Tensor] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Of 10 ms in the padded recording."""
        return len(self.padded) // FRAME

    def curve(self, stretch: Stretch) -> Tensor | None:
        """Return the pitch of a stretch, [frames] float32."""
        if self.f0_hz is None:
            return None
        return self.f0_hz[stretch.first_frame : stretch.first_frame + stretch.frames].float()

    def utterances(self) -> Iterator[Utterance]:
        """Yield what the voice is to say in each stretch."""
        steps = None if self.f0_hz is None else coarse(self.f0_hz)
        for number, stretch in enumerate(self.stretches):
            span = slice(stretch.first_frame, stretch.first_frame + stretch.frames)
            yield Utterance(
                features=self.features[number],
                coarse=None if steps is None else steps[span],
                f0_hz=self.curve(stretch),
                keep=stretch.keep,
                speaker=self.clip.speaker,
                # Stretches of one recording must not share their noise.
                seed=(self.clip.seed + number) % 2**63,
            )


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
        self._content = content
        self._pitch = pitch
        self._synthesizer = synthesizer
        self._splitting = splitting or Splitting()
        self._batch_samples = batch_s * RATE_HZ

    @torch.inference_mode()
    def convert(self, clips: Sequence[Clip]) -> list[Tensor | Exception]:
        """Return the samples of each clip in its voice, in order, or what is wrong with it alone.

        Samples are float32 on the device, at the clip's `output_rate_hz`. What is wrong is a
        `ChunkFailed`: `UnfitAudio`, `UnfitVoice`, or a missing library.
        """
        work, failed = self._prepared(clips)
        failed |= self._find_pitch(work)
        work = [one for one in work if one.place not in failed]
        self._find_features(work)
        results: dict[int, Tensor | Exception] = dict(failed)
        for same_voice in _by_voice(work, lambda one: one.clip):
            for one, samples in zip(same_voice, self._spoken(same_voice), strict=True):
                results[one.place] = _finished(one, samples)
        return [results[place] for place in range(len(clips))]

    def _prepared(self, clips: Sequence[Clip]) -> tuple[list[_Work], dict[int, Exception]]:
        """Bring everything to 16 kHz, without what is too low, split and padded."""
        work: list[_Work] = []
        failed: dict[int, Exception] = {}
        waves: dict[int, Tensor] = {}
        for place, clip in enumerate(clips):
            try:
                clip.check(self._content.width(clip.voice.config.version))
                waves[place] = _at_16_khz(clip)
            except ChunkFailed as error:
                failed[place] = error
        # One look at the device for all of them.
        for place, peak in zip(list(waves), _peaks(waves.values()), strict=True):
            if math.isfinite(peak):
                waves[place] = waves[place] / max(1.0, peak / _INPUT_PEAK)
            else:
                failed[place] = UnfitAudio("the audio holds numbers that are not finite")
                del waves[place]
        for place, source in zip(waves, high_passed(list(waves.values())), strict=True):
            try:
                work.append(self._split(place, clips[place], source))
            except ChunkFailed as error:
                failed[place] = error
        return work, failed

    def _split(self, place: int, clip: Clip, source: Tensor) -> _Work:
        pad = self._splitting.pad
        planned = stretches(
            len(source),
            pad,
            cuts(source, self._splitting),
            exact=clip.conversion.length == "exact",
        )
        if not planned:
            milliseconds = 1000 * len(source) // RATE_HZ
            raise UnfitAudio(f"the audio lasts {milliseconds} ms: too short, or use length=exact")
        return _Work(place, clip, source, mirrored(source, pad), planned)

    def _find_pitch(self, work: Sequence[_Work]) -> dict[int, Exception]:
        """Give the pitch to those whose voice has one; return what failed."""
        failed: dict[int, Exception] = {}
        pitched = [one for one in work if one.clip.voice.config.has_pitch]
        by_network = [one for one in pitched if one.clip.conversion.f0_method == "rmvpe"]
        for batch in self._batched([(one, len(one.padded)) for one in by_network]):
            for one, f0_hz in zip(batch, self._pitch.f0([o.padded for o in batch]), strict=True):
                one.f0_hz = f0_hz[: one.frames]
        for one in pitched:
            try:
                found = _host_f0(one) if one.f0_hz is None else one.f0_hz
            except ChunkFailed as error:
                failed[one.place] = error
            else:
                one.f0_hz = _bent(one.clip, found)
        return failed

    def _find_features(self, work: Sequence[_Work]) -> None:
        """Give each stretch its features, those of its voice's own recordings mixed in."""
        places = [(one, stretch) for one in work for stretch in one.stretches]
        plain: dict[tuple[_Work, Stretch], Tensor] = {}
        sized = [(place, place[1].end - place[1].start) for place in places]
        for batch in self._batched(sized):
            waves = [one.padded[stretch.start : stretch.end] for one, stretch in batch]
            versions = [one.clip.voice.config.version for one, _ in batch]
            plain.update(zip(batch, self._content.features(waves, versions), strict=True))
        for group in _by_voice(places, lambda place: place[0].clip):
            clips = [one.clip for one, _ in group]
            features = retrieved(
                clips[0].voice.index,
                [plain[place] for place in group],
                [clip.conversion for clip in clips],
            )
            for (one, stretch), found in zip(group, features, strict=True):
                f0_hz = one.curve(stretch)
                protect = one.clip.conversion.protect
                whole = protected(found, plain[one, stretch], f0_hz, protect)
                one.features.append(whole[: stretch.frames])

    def _spoken(self, work: Sequence[_Work]) -> list[Tensor]:
        """Return the samples of clips of one voice at its own rate."""
        voice = work[0].clip.voice
        utterances = [utterance for one in work for utterance in one.utterances()]
        parts = iter(self._synthesizer.synthesize(voice.config, voice.weights, utterances))
        return [torch.cat([next(parts) for _ in one.stretches]) for one in work]

    def _batched(self, sized: Sequence[tuple[Item, int]]) -> Iterator[list[Item]]:
        """Yield what is computed together: about equally long, and not too much at once."""
        batch: list[Item] = []
        longest = 0
        for item, samples in sorted(sized, key=lambda pair: -pair[1]):
            full = (len(batch) + 1) * longest > self._batch_samples
            if batch and (full or samples < _ALIKE * longest):
                yield batch
                batch = []
            if not batch:
                longest = samples
            batch.append(item)
        if batch:
            yield batch


def _by_voice(items: Sequence[Item], clip: Callable[[Item], Clip]) -> list[list[Item]]:
    groups: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        groups[id(clip(item).voice)].append(item)
    return list(groups.values())


def _at_16_khz(clip: Clip) -> Tensor:
    if not LEAST_HZ <= clip.rate_hz <= MOST_HZ:
        raise UnfitAudio(f"the audio has {clip.rate_hz} Hz, and {LEAST_HZ} to {MOST_HZ} are known")
    samples = clip.samples.to(clip.voice.weights.speakers.device, torch.float32)
    if samples.dim() == 2:
        samples = samples.mean(1)
    wave = resampled(samples, clip.rate_hz, RATE_HZ)
    if len(wave) <= EDGE:
        raise UnfitAudio(f"the audio has {len(wave)} samples at 16 kHz, and {EDGE + 1} are needed")
    return wave


def _peaks(waves: Collection[Tensor]) -> list[float]:
    """Return the largest magnitude of each; not finite where a wave is not."""
    found: list[float] = torch.stack([wave.abs().max() for wave in waves]).tolist() if waves else []
    return found


def _host_f0(one: _Work) -> Tensor:
    """Return the pitch by a method of the processor."""
    wave, conversion = one.padded.cpu().numpy(), one.clip.conversion
    if conversion.f0_method == "pm":
        found = praat_f0(wave, one.frames)
    else:
        found = world_f0(wave, one.frames, conversion.filter_radius)
    return torch.from_numpy(found).to(one.padded.device)


def _bent(clip: Clip, f0_hz: Tensor) -> Tensor:
    """Return the curve as the voice is to follow it."""
    conversion = clip.conversion
    semitones = conversion.pitch
    if semitones == "auto":
        voiced, aim_hz = f0_hz[f0_hz > 0], clip.voice.median_hz
        if aim_hz is None or not len(voiced):
            semitones = 0
        else:
            semitones = semitones_between(float(voiced.median()), aim_hz)
    if conversion.unvoiced == "interp":
        f0_hz = bridged(f0_hz)
    return shifted(f0_hz, semitones)


def _finished(one: _Work, samples: Tensor) -> Tensor:
    """Return what leaves: of the right length, loudness and rate."""
    clip, rate_hz = one.clip, one.clip.voice.config.sample_rate_hz
    is_exact = clip.conversion.length == "exact"
    duration_s = Fraction(len(clip.samples), clip.rate_hz)
    if is_exact:
        samples = samples[: round(duration_s * rate_hz)]
    samples = mixed(one.source, RATE_HZ, samples, rate_hz, clip.conversion.rms_mix_rate)
    if clip.output_rate_hz != rate_hz:
        samples = finely_resampled(samples, rate_hz, clip.output_rate_hz)
        if is_exact:
            samples = samples[: round(duration_s * clip.output_rate_hz)]
    return limited(samples)
