"""A voice converter without networks: deterministic, cheap, and as long as what it was given.

It rings: a sound is multiplied by a tone, whose pitch depends on the voice, the parameter
`pitch` and the seed. Tests, demonstrations and documents use it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .audio_stream import mono, opened
from .converter import Converted, LongSource, Portions, Source
from .errors import ChunkFailed, EngineOutOfMemory, UnfitVoice, UnknownVoice
from .lifecycle import Facts
from .model import ConversionOffer, Outcome, TargetVoice
from .progress import Progress, Stage
from .request import ConversionRequest, Samples, Sound

#: Decides the sound; changes whenever it does.
REVISION: Final = "fake-rvc-1"

#: A tone may be this much out of tune, by its seed. [semitones]
DETUNE_SEMITONES: Final = 0.3


@dataclass(frozen=True, slots=True)
class _Voice:
    tone_hz: float
    sample_rate_hz: int
    has_pitch: bool = True


#: The voices. One has another rate than the fake model, one was "trained without pitch".
VOICES: Final = {
    "robot": _Voice(55.0, 24000),
    "alien": _Voice(90.0, 48000),
    "whisper": _Voice(7.0, 40000, has_pitch=False),
}


class FakeConverter:
    """A `VoiceConverter`. Plain JSON makes one."""

    def __init__(
        self, *, portion_s: float = 60.0, memory_s: float | None = None, fail_voice: str = ""
    ) -> None:
        """Batches of more than `memory_s` do not fit; what is for `fail_voice` fails."""
        self.portions = Portions(awaited_s=portion_s, whole_s=portion_s)
        self._memory_s = memory_s
        self._fail_voice = fail_voice

    def load(self) -> None:
        """Have nothing to load."""

    def warm_up(self) -> None:
        """Have nothing to warm up."""

    def offer(self) -> ConversionOffer:
        """Tell what can be asked for."""
        voices = tuple(
            TargetVoice(name, f"{REVISION}+{name}", voice.sample_rate_hz, voice.has_pitch)
            for name, voice in VOICES.items()
        )
        return ConversionOffer(REVISION, voices)

    def check(self, request: ConversionRequest) -> None:
        """Raise `UnknownVoice` or `UnfitVoice`."""
        voice = VOICES.get(request.voice)
        if voice is None:
            raise UnknownVoice(f"there is no voice {request.voice!r} to convert into")
        if request.parameters.get("pitch") and not voice.has_pitch:
            raise UnfitVoice(f"voice {request.voice} was trained without pitch: set pitch to 0")

    def convert(self, sources: Sequence[Source]) -> Converted:
        """Have it ring, or raise `EngineOutOfMemory`."""
        wanted_s = sum(source.duration_s for source in sources)
        if self._memory_s is not None and wanted_s > self._memory_s:
            raise EngineOutOfMemory(f"{wanted_s} s wanted of {self._memory_s}")
        return Converted([self._outcome(source) for source in sources])

    def convert_long(self, source: LongSource) -> Generator[Progress, None, int]:
        """Ring second by second, as if each were a recording."""
        voice = VOICES[source.wanted.voice]
        done = 0
        with opened(source.file) as audio, source.target.open("wb") as target:
            for block in mono(audio):
                for part in np.split(block, range(audio.samplerate, len(block), audio.samplerate)):
                    outcome = self._outcome(Source("", part, audio.samplerate, source.wanted))
                    if isinstance(outcome, Exception):
                        raise outcome
                    target.write(outcome.samples.tobytes())
                done += len(block)
                yield Progress(Stage.CONVERTING, min(1.0, done / max(1, audio.frames)))
        return voice.sample_rate_hz

    def facts(self) -> Facts:
        """Have nothing to tell."""
        return {}

    def close(self) -> None:
        """Have nothing to let go of."""

    def _outcome(self, source: Source) -> Outcome:
        if source.wanted.voice == self._fail_voice:
            return ChunkFailed(f"voice {self._fail_voice} fails")
        rate_hz = VOICES[source.wanted.voice].sample_rate_hz
        return Sound(ringing(source), sample_rate_hz=rate_hz)


def ringing(source: Source) -> Samples:
    """Return a source multiplied by its voice's tone, at its voice's rate."""
    voice = VOICES[source.wanted.voice]
    detune = np.random.default_rng(source.wanted.seed).uniform(-DETUNE_SEMITONES, DETUNE_SEMITONES)
    pitch = source.wanted.parameters.get("pitch", 0)
    semitones = detune + (0.0 if pitch == "auto" else float(pitch))
    count = round(len(source.samples) * voice.sample_rate_hz / source.rate_hz)
    times_s = np.arange(count) / voice.sample_rate_hz
    places = times_s * source.rate_hz
    samples = np.interp(places, np.arange(len(source.samples)), source.samples)
    tone = np.cos(2 * np.pi * voice.tone_hz * 2 ** (semitones / 12) * times_s)
    return (samples * tone).astype(np.float32)
