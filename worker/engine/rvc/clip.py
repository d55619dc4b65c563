"""What is converted: one recording, the voice that it gets, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from torch import Tensor

from .errors import UnfitVoice
from .retrieval import Search
from .voice import Voice

F0Method = Literal["rmvpe", "pm", "harvest"]

#: The lowest rate to which a conversion is resampled; as in the peers, less means "leave it".
LEAST_RATE_HZ: Final = 16000

#: From here on nothing is protected.
UNPROTECTED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a recording is converted; names, meanings and ranges are those of the RVC interfaces."""

    #: Semitones, or `auto`: from the middle of the speaker's pitch to that of the voice.
    pitch: float | Literal["auto"] = 0.0
    #: How much of the features comes from the voice's own recordings, 0 .. 1.
    index_rate: float = 0.75
    f0_method: F0Method = "rmvpe"
    #: Above 2, the pitch that `harvest` finds goes through a median of three.
    filter_radius: int = 3
    #: 1 keeps the voice's loudness, 0 gives it that of the recording.
    rms_mix_rate: float = 0.25
    #: How much of the index unvoiced sounds get, 0 .. 0.5; at 0.5 as much as all others.
    protect: float = 0.33
    #: `interp` draws straight lines of pitch over unvoiced frames, as upstream does since 2026.
    unvoiced: Literal["zero", "interp"] = "zero"
    #: `exact` keeps the length of the recording; `compat` is up to 20 ms shorter, as the peers are.
    length: Literal["compat", "exact"] = "compat"
    #: Rate of the conversion; 0 is the voice's own.
    resample_hz: int = 0
    search: Search = "ivf1"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One recording on its way into a voice."""

    samples: Tensor  # [samples] or [samples, channels], any device
    rate_hz: int
    voice: Voice
    conversion: Conversion = Conversion()
    speaker: int = 0
    seed: int = 0

    @property
    def output_rate_hz(self) -> int:
        """The rate of what comes out."""
        return output_rate_hz(self.voice, self.conversion)

    def check(self, feature_width: int) -> None:
        """Raise `UnfitVoice` for what the voice cannot do with features of that width."""
        check_voice(self.voice, self.conversion, self.speaker, feature_width)


def output_rate_hz(voice: Voice, conversion: Conversion) -> int:
    """Return the rate of what comes out."""
    wanted = conversion.resample_hz
    return wanted if wanted >= LEAST_RATE_HZ else voice.config.sample_rate_hz


def check_voice(voice: Voice, wanted: Conversion, speaker: int, feature_width: int) -> None:
    """Raise `UnfitVoice` for what the voice cannot do with features of that width."""
    if voice.config.features != feature_width:
        raise UnfitVoice(
            f"voice {voice.name} wants features of {voice.config.features}, and the "
            f"content encoder makes {feature_width}: use the one that it was trained with"
        )
    if voice.index is not None and voice.index.vectors.shape[1] != feature_width:
        raise UnfitVoice(
            f"the index of voice {voice.name} has vectors of {voice.index.vectors.shape[1]}, "
            f"and its features are {feature_width} wide: it belongs to another voice"
        )
    if not voice.config.has_pitch and wanted.pitch != 0:
        raise UnfitVoice(
            f"voice {voice.name} was trained without pitch and cannot be moved: set pitch to 0"
        )
    if wanted.pitch == "auto" and voice.median_hz is None:
        raise UnfitVoice(
            f"the middle of the pitch of voice {voice.name} is not known: set pitch to a "
            "number of semitones"
        )
    speakers = voice.weights.speakers.shape[0]
    if not 0 <= speaker < speakers:
        raise UnfitVoice(f"voice {voice.name} has {speakers} speakers, not {speaker}")
