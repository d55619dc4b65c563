"""From recordings of a speaker to a voice, as `Xtts.get_conditioning_latents` makes it.

The networks are coqui-tts' own, filled from our reading of the checkpoint; what is done with them
is written here. They run on the CPU, a second or two for a voice: no GPU's memory is asked for,
and the same sample gives the same voice beside any worker. For what they are see the XTTS paper
(arXiv 2406.04904) and, for the speaker encoder, arXiv 2009.14153.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor

from ..archive import fingerprint
from ..errors import CheckpointError, EngineError
from .checkpoint import load_conditioning
from .config import XttsConfig
from .errors import BadSample
from .files import CONFIG_FILE, MODEL_FILE
from .library import Maker
from .sample import Sample
from .speakers import Speaker
from .weights import CONDITIONING

#: The rate at which the GPT hears a speaker, and at which the speaker encoder does.
_GPT_RATE_HZ: Final = 22050
_ENCODER_RATE_HZ: Final = 16000

#: A piece that is shorter than this is left out.
_LEAST_PIECE_S: Final = 0.33

#: How loud the reference makes samples where `sound_norm_refs` is set.
_NORMAL_PEAK: Final = 0.75

#: Mel bands, the least energy that is told from none, and the rest of the spectrogram.
_BANDS: Final = 80
_LEAST_ENERGY: Final = 1e-5
_SPECTROGRAM: Final = {
    "sample_rate": _GPT_RATE_HZ, "n_fft": 2048, "win_length": 1024, "hop_length": 256,
    "power": 2, "f_min": 0, "f_max": 8000, "n_mels": _BANDS, "norm": "slaney",
}  # fmt: skip

#: The constants of the two encoders; no file states them, all of XTTS-v2 have these.
_HEAD_DIM: Final = 64
_SPEAKER_BANDS: Final = 64
_SPEAKER_AUDIO: Final = {
    "sample_rate": _ENCODER_RATE_HZ, "fft_size": 512, "win_length": 400, "hop_length": 160,
    "preemphasis": 0.97, "num_mels": _SPEAKER_BANDS,
}  # fmt: skip

_ENCODER: Final = "gpt.conditioning_encoder."
_PERCEIVER: Final = "gpt.conditioning_perceiver."
_SPEAKER: Final = "hifigan_decoder.speaker_encoder."


@dataclass(frozen=True, slots=True)
class Hearing:
    """The settings of a checkpoint that decide what of a sample is heard, and how."""

    gpt_cond_len: int
    gpt_cond_chunk_len: int
    max_ref_len: int
    sound_norm_refs: bool

    @classmethod
    def of(cls, config: XttsConfig) -> Self:
        """Take them from `config.json`."""
        return cls(
            config.gpt_cond_len,
            config.gpt_cond_chunk_len,
            config.max_ref_len,
            config.sound_norm_refs,
        )

    def facts(self) -> dict[str, int | bool]:
        """Return them as plain JSON."""
        return asdict(self)


def maker_of(directory: Path) -> Maker:
    """Return what decides, beside the samples, which voices the files in `directory` make.

    Raises `CheckpointError`.
    """
    hearing = Hearing.of(XttsConfig.read(directory / CONFIG_FILE))
    return Maker(fingerprint(directory / MODEL_FILE), hearing.facts())


class Conditioning:
    """Makes voices out of samples."""

    def __init__(self, hearing: Hearing, mel_stats: Tensor, modules: _Modules) -> None:
        """`mel_stats` [bands] are what each band is divided by."""
        self._hearing = hearing
        self._mel_stats = mel_stats
        self._modules = modules
        self._audio: Any = import_module("torchaudio")
        self._mel: Any = self._audio.transforms.MelSpectrogram(**_SPECTROGRAM)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read what is needed of a checkpoint.

        Raises `CheckpointError` for its files, `EngineError` without coqui-tts or torchaudio.
        """
        config = XttsConfig.read(directory / CONFIG_FILE)
        state = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in load_conditioning(directory).items()
        }
        try:
            modules = _modules(directory / MODEL_FILE, state, config)
            return cls(Hearing.of(config), state["mel_stats"], modules)
        except ImportError as error:
            raise EngineError(
                f"a voice is made with coqui-tts and torchaudio, which are missing: {error}"
            ) from error

    @torch.inference_mode()
    def voice(self, samples: Sequence[Sample]) -> Speaker:
        """Return the voice of one speaker in one or more samples.

        Their order matters: the GPT hears the beginning of them all in a row, the speaker
        encoder each alone. Raises `BadSample` if there is too little to hear.
        """
        clips = [self._clip(sample) for sample in samples]
        pieces = self._pieces(torch.cat(clips, dim=1))
        if not pieces:
            raise BadSample(f"the recordings are too short: {_LEAST_PIECE_S} s at least")
        latents = torch.stack([self._latents(piece) for piece in pieces]).mean(dim=0)
        embedding = torch.stack([self._embedding(clip) for clip in clips]).mean(dim=0)
        return Speaker.of(latents, embedding)

    def _clip(self, sample: Sample) -> Tensor:
        """Return what is heard of a sample. [1, frames]"""
        clip = torch.from_numpy(sample.audio)[None]
        if sample.rate_hz != _GPT_RATE_HZ:
            clip = self._audio.functional.resample(clip, sample.rate_hz, _GPT_RATE_HZ)
        clip = clip.clamp(-1, 1)[:, : _GPT_RATE_HZ * self._hearing.max_ref_len]
        if self._hearing.sound_norm_refs:
            clip = clip / clip.abs().max() * _NORMAL_PEAK
        return clip

    def _pieces(self, audio: Tensor) -> list[Tensor]:
        """Return the pieces that the GPT hears one by one. [1, frames] each"""
        heard = audio[:, : _GPT_RATE_HZ * self._hearing.gpt_cond_len]
        pieces = heard.split(_GPT_RATE_HZ * self._hearing.gpt_cond_chunk_len, dim=1)
        return [piece for piece in pieces if piece.shape[1] >= _GPT_RATE_HZ * _LEAST_PIECE_S]

    def _latents(self, piece: Tensor) -> Tensor:
        """Return what the GPT is told of a piece. [32, D]"""
        mel = self._mel(piece).clamp(min=_LEAST_ENERGY).log()  # [1, bands, frames]
        hidden = self._modules.encoder(mel / self._mel_stats[None, :, None])  # [1, D, frames]
        latents: Tensor = self._modules.perceiver(hidden.transpose(1, 2))[0]
        return latents

    def _embedding(self, clip: Tensor) -> Tensor:
        """Return what the vocoder is told of a clip. [E]"""
        heard = self._audio.functional.resample(clip, _GPT_RATE_HZ, _ENCODER_RATE_HZ)
        embedding: Tensor = self._modules.speaker(heard, l2_norm=True)[0]
        return embedding


@dataclass(frozen=True, slots=True)
class _Modules:
    """coqui-tts' networks, ready to be used."""

    encoder: Any  # [1, bands, frames] -> [1, D, frames]
    perceiver: Any  # [1, frames, D] -> [1, 32, D]
    speaker: Any  # [1, frames] at 16 kHz -> [1, E]


def _modules(file: Path, state: Mapping[str, Tensor], config: XttsConfig) -> _Modules:
    autoregressive: Any = import_module("TTS.tts.layers.tortoise.autoregressive")
    perceiver: Any = import_module("TTS.tts.layers.xtts.perceiver_encoder")
    resnet: Any = import_module("TTS.encoder.models.resnet")
    width, heads = config.model_args.gpt_n_model_channels, config.model_args.gpt_n_heads
    inner = state.get(f"{_PERCEIVER}layers.0.0.to_q.weight", torch.empty(_HEAD_DIM)).shape[0]
    encoder = autoregressive.ConditioningEncoder(
        _BANDS, width, attn_blocks=_count(state, f"{_ENCODER}attn."), num_attn_heads=heads
    )
    resampler = perceiver.PerceiverResampler(
        dim=width,
        depth=_count(state, f"{_PERCEIVER}layers."),
        dim_context=width,
        num_latents=CONDITIONING,
        dim_head=_HEAD_DIM,
        heads=inner // _HEAD_DIM,
    )
    stages = [f"{_SPEAKER}layer{number}." for number in (1, 2, 3, 4)]
    speaker = resnet.ResNetSpeakerEncoder(
        input_dim=_SPEAKER_BANDS,
        proj_dim=config.model_args.d_vector_dim,
        layers=[_count(state, stage) for stage in stages],
        num_filters=[_channels(file, state, f"{stage}0.conv1.weight") for stage in stages],
        log_input=True,
        use_torch_spec=True,
        audio_config=_SPEAKER_AUDIO,
    )
    for module, prefix in ((encoder, _ENCODER), (resampler, _PERCEIVER), (speaker, _SPEAKER)):
        _fill(file, module, state, prefix)
    return _Modules(encoder, resampler, speaker)


def _fill(file: Path, module: Any, state: Mapping[str, Tensor], prefix: str) -> None:
    """Put the tensors below `prefix` into a network, all of them and no others."""
    part = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(part, assign=True)
    except RuntimeError as error:
        faults = " ".join(str(error).split())
        raise CheckpointError(file, f"{prefix.rstrip('.')} does not fit: {faults}") from error
    module.eval()


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered parts there are below `prefix`."""
    numbered = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({match[1] for name in state if (match := numbered.match(name))})


def _channels(file: Path, state: Mapping[str, Tensor], name: str) -> int:
    if name not in state:
        raise CheckpointError(file, f"{name} is missing: it cannot clone voices")
    return state[name].shape[0]
