"""One recording of any length, converted in as much memory as a short one.

    read at 16 kHz -> high-pass -> cuts -> pitch, piece by piece -> stretches, some at a time
      -> loudness -> rate -> peak

What comes out is what `Converter` makes of the same recording: the same filter, cuts, pieces of
pitch, stretches and noise. Samples wait on the disk, about 1.2 GB an hour; in memory there is the
curve of pitch, 3 MB an hour, and what is computed at the moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import Tensor

from ..allocator import trim
from ..progress import Progress, Stage
from .clip import Conversion, check_voice, output_rate_hz
from .converter import (
    INPUT_PEAK,
    NOT_FINITE,
    Converter,
    check_rate,
    check_samples,
    planned_stretches,
)
from .errors import UnfitAudio
from .highpass import high_passed_block
from .loudness import PEAK, LoudnessMeter, gain
from .recording import Recording
from .resampling import resampled_blocks
from .scratch import Scratch
from .splitting import RATE_HZ, cuts
from .stages import Part, pieces_in
from .voice import Voice

#: Samples that are filtered, weighed or handed out at a time.
_BLOCK: Final = 1 << 20

#: Bits of work after which a processor's heap is trimmed: 10 ms, where a bit takes 50 at least.
_TRIMMED: Final = 4


class AudioSource(Protocol):
    """A recording that is read once, from its beginning."""

    @property
    def rate_hz(self) -> int:
        """Frames in a second."""

    @property
    def claimed_s(self) -> float:
        """How long it says that it is."""

    def blocks(self) -> Iterator[Tensor]:
        """Yield parts of it, [frames] or [frames, channels] float32."""


@dataclass(frozen=True, slots=True, eq=False)
class LongClip:
    """What `Clip` is for a recording that is not in memory."""

    source: AudioSource
    voice: Voice
    conversion: Conversion = field(default_factory=Conversion)
    speaker: int = 0
    seed: int = 0

    @property
    def output_rate_hz(self) -> int:
        """The rate of what comes out."""
        return output_rate_hz(self.voice, self.conversion)


class LongConversion:
    """One of them under way. Used by one thread at a time, which may do other things between.

    conversion = LongConversion(converter, clip, scratch_folder)
    for progress in conversion.steps(): # each is a bounded piece of work
        ...                             # tell, convert something else, or give up
    for samples in conversion.blocks():
        ...
    conversion.close()
    """

    def __init__(self, converter: Converter, clip: LongClip, scratch: Path) -> None:
        """Keep samples on the filesystem of `scratch`, without a name."""
        self._stages = converter.stages
        self._clip = clip
        self._device = clip.voice.weights.speakers.device
        self._read = Scratch(scratch, torch.float32)
        self._source = Scratch(scratch, torch.float64)
        self._spoken = Scratch(scratch, torch.float32)
        self._frames = 0
        self._loudness: tuple[Tensor, Tensor] | None = None
        self._peak = 0.0

    @torch.inference_mode()
    def steps(self) -> Iterator[Progress]:
        """Convert, and yield how far it is after each bit of work, until it can be handed out.

        Raises what `Converter.convert` returns, before the work that it would spoil, and `OSError`
        where the disk is full.
        """
        for number, far in enumerate(self._bits()):
            # Hours of tensors of many sizes leave holes behind, which nothing fills.
            if self._device.type == "cpu" and number % _TRIMMED == 0:
                trim()
            yield far

    def _bits(self) -> Iterator[Progress]:
        clip, stages = self._clip, self._stages
        width = stages.content.width(clip.voice.config.version)
        check_voice(clip.voice, clip.conversion, clip.speaker, width)
        yield from self._brought_to_16_khz()
        places = []
        for place in cuts(self._source, stages.splitting):
            places.append(place)
            yield Progress(Stage.READING, 1.0)
        recording = self._split(places)
        pieces = pieces_in(recording)
        for found in stages.find_pitch([recording]):
            if isinstance(found, int):
                yield Progress(Stage.PITCH, found / pieces)
            elif found[1] is not None:
                raise found[1]
        parts = [Part(recording, number) for number in range(len(recording.stretches))]
        for first, group in self._groups(parts):
            features = stages.blended(group, stages.features(group))
            for samples in stages.spoken(group, features):
                self._spoken.append(samples)
            yield Progress(Stage.CONVERTING, (first + len(group)) / len(parts))
        yield from self._weighed()

    @torch.inference_mode()
    def blocks(self) -> Iterator[Tensor]:
        """Yield the samples, in order, float32 on the host, at the clip's `output_rate_hz`."""
        for block in self._even():
            yield block / max(1.0, self._peak / PEAK)

    def close(self) -> None:
        """Give the disk back. May be called at any time, and again."""
        for scratch in (self._read, self._source, self._spoken):
            scratch.close()

    def _brought_to_16_khz(self) -> Iterator[Progress]:
        """Read, resample, make quieter what is too loud, and filter."""
        check_rate(self._clip.source.rate_hz)
        expected = max(1.0, self._clip.source.claimed_s * RATE_HZ)
        peak = 0.0
        for wave in resampled_blocks(self._mono(), self._clip.source.rate_hz, RATE_HZ):
            if len(wave):
                peak = max(peak, float(wave.abs().max()))
                self._read.append(wave)
            # What a file claims of itself is believed for this alone.
            yield Progress(Stage.READING, min(1.0, len(self._read) / expected) / 2)
        check_samples(len(self._read))
        quieter = _Scaled(self._read, max(1.0, peak / INPUT_PEAK), self._device)
        for start, stop in _spans(len(quieter)):
            self._source.append(high_passed_block(quieter, start, stop))
            yield Progress(Stage.READING, (1 + stop / len(quieter)) / 2)
        self._read.close()

    def _mono(self) -> Iterator[Tensor]:
        for block in self._clip.source.blocks():
            self._frames += len(block)
            samples = block.to(self._device, torch.float32)
            if not samples.isfinite().all():
                raise UnfitAudio(NOT_FINITE)
            yield samples.mean(1) if samples.dim() == 2 else samples

    def _split(self, places: list[int]) -> Recording:
        clip, splitting = self._clip, self._stages.splitting
        is_exact = clip.conversion.length == "exact"
        return Recording(
            clip.voice,
            clip.conversion,
            self._source,
            splitting.pad,
            planned_stretches(len(self._source), splitting, places, is_exact),
            speaker=clip.speaker,
            seed=clip.seed,
        )

    def _groups(self, parts: list[Part]) -> Iterator[tuple[int, list[Part]]]:
        """Yield what is computed at once, and how many come before it."""
        longest = max(part.samples for part in parts)
        count = max(1, self._stages.batch_samples // longest)
        for first in range(0, len(parts), count):
            yield first, parts[first : first + count]

    def _weighed(self) -> Iterator[Progress]:
        """Find the loudness of both, and the peak of what will leave."""
        if self._clip.conversion.rms_mix_rate != 1 and self._samples:
            rate_hz, host = self._clip.voice.config.sample_rate_hz, torch.device("cpu")
            source, spoken = LoudnessMeter(RATE_HZ, host), LoudnessMeter(rate_hz, host)
            for meter, wave, samples in (
                (source, self._source, len(self._source)),
                (spoken, self._spoken, self._samples),
            ):
                for start, stop in _spans(samples):
                    meter.add(wave[start:stop])
                    yield Progress(Stage.FINISHING, 0.0)
            self._loudness = source.curve(), spoken.curve()
        rate_hz, seen_s = self._clip.output_rate_hz, 0.0
        whole_s = max(1, self._samples) / self._clip.voice.config.sample_rate_hz
        for block in self._even():
            if len(block):
                self._peak = max(self._peak, float(block.abs().max()))
                seen_s += len(block) / rate_hz
            # The other half is that it is written.
            yield Progress(Stage.FINISHING, min(1.0, seen_s / whole_s) / 2)

    def _even(self) -> Iterator[Tensor]:
        """Yield the samples as they leave but for their peak."""
        clip, left = self._clip, self._kept(self._clip.output_rate_hz)
        rate_hz = clip.voice.config.sample_rate_hz
        mixed = self._mixed()
        for block in resampled_blocks(mixed, rate_hz, clip.output_rate_hz, fine=True):
            kept = block if left is None else block[:left]
            left = None if left is None else left - len(kept)
            yield kept

    def _mixed(self) -> Iterator[Tensor]:
        mix_rate = self._clip.conversion.rms_mix_rate
        for start, stop in _spans(self._samples):
            samples = self._spoken[start:stop]
            if self._loudness is not None:
                by = gain(*self._loudness, mix_rate, start, stop, self._samples)
                samples = samples * by.to(samples.dtype)
            yield samples

    @property
    def _samples(self) -> int:
        """How much is kept of what was spoken."""
        kept = self._kept(self._clip.voice.config.sample_rate_hz)
        return len(self._spoken) if kept is None else min(kept, len(self._spoken))

    def _kept(self, rate_hz: int) -> int | None:
        """Return how much is kept at a rate; None is all."""
        if self._clip.conversion.length != "exact":
            return None
        return round(Fraction(self._frames, self._clip.source.rate_hz) * rate_hz)


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Samples of a file, quieter, on a device."""

    wave: Scratch
    divisor: float
    device: torch.device

    def __len__(self) -> int:
        return len(self.wave)

    def __getitem__(self, span: slice) -> Tensor:
        return self.wave[span].to(self.device) / self.divisor


def _spans(samples: int) -> Iterator[tuple[int, int]]:
    for start in range(0, samples, _BLOCK):
        yield start, min(samples, start + _BLOCK)
