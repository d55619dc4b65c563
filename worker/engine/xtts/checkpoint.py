"""A directory of XTTS-v2 files, made into tensors on a device.

    config.json  model.pth  vocab.json  [speakers_xtts.pth]

The directory is only ever read. Published files, fine-tunes as their trainers leave them, files
in half precision and those of older torch all load. No size is built in: what the texts state
must be what the tensors are.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from ..archive import fingerprint
from ..errors import CheckpointError
from ..tensors import TensorTable
from .archive import read_state
from .config import Vocabulary, XttsConfig
from .files import CONFIG_FILE, MODEL_FILE, SPEAKERS_FILE, VOCABULARY_FILE
from .speakers import Speaker, read_speakers
from .vocoder_weights import VocoderWeights, read_vocoder
from .weights import GptWeights, LayerWeights

#: Rows of the position tables beyond what `config.json` states.
_EXTRA_AUDIO_POSITIONS: Final = 3
_EXTRA_TEXT_POSITIONS: Final = 2

#: What makes a voice out of a recording; synthesis does without.
_CONDITIONING_PARTS: Final = (
    "mel_stats",
    "gpt.conditioning_encoder.",
    "gpt.conditioning_perceiver.",
    "hifigan_decoder.speaker_encoder.",
)

_LAYER: Final = re.compile(r"gpt\.gpt\.h\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class XttsCheckpoint:
    """All that synthesis needs, on one device."""

    config: XttsConfig
    gpt: GptWeights
    vocoder: VocoderWeights
    speakers: dict[str, Speaker]
    #: Hash of what decides the sound, voices excepted: they have their own.
    revision: str


def load(
    directory: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> XttsCheckpoint:
    """Read a checkpoint; the GPT's linear maps are placed in `dtype`, all else in float32.

    On the CPU in float32 the tensors stay views of the mapped file, shared with every other
    process that has it open: replace such a file by renaming another over it, never in place.
    Raises `CheckpointError` for files that are missing, broken, or do not belong together.
    """
    device = torch.device(device)
    config = XttsConfig.read(directory / CONFIG_FILE)
    vocabulary = Vocabulary.read(directory / VOCABULARY_FILE)
    file = directory / MODEL_FILE
    state = read_state(file)
    _check_layers(file, state, config)
    table = TensorTable(file, state, device)
    gpt = _read_gpt(table, config, vocabulary, dtype)
    return XttsCheckpoint(
        config=config,
        gpt=gpt,
        vocoder=read_vocoder(table, config, gpt.width),
        speakers=read_speakers(
            directory / SPEAKERS_FILE, device, gpt.width, config.model_args.d_vector_dim
        ),
        revision=revision_of(directory),
    )


def load_conditioning(directory: Path) -> dict[str, Tensor]:
    """Return the tensors that make voices out of recordings, by their names, on the CPU.

    Raises `CheckpointError` if the file has none.
    """
    file = directory / MODEL_FILE
    state = read_state(file)
    found = {name: tensor for name, tensor in state.items() if name.startswith(_CONDITIONING_PARTS)}
    for part in _CONDITIONING_PARTS:
        if not any(name.startswith(part) for name in found):
            raise CheckpointError(file, f"{part.rstrip('.')} is missing: it cannot clone voices")
    return found


def revision_of(directory: Path) -> str:
    """Return a hash over the configuration, the vocabulary and the `fingerprint` of the model."""
    digest = hashlib.sha256(fingerprint(directory / MODEL_FILE).encode())
    for name in (CONFIG_FILE, VOCABULARY_FILE):
        digest.update(hashlib.sha256((directory / name).read_bytes()).digest())
    return digest.hexdigest()


def _check_layers(file: Path, state: dict[str, Tensor], config: XttsConfig) -> None:
    layers = {int(match[1]) for name in state if (match := _LAYER.match(name))}
    wanted = config.model_args.gpt_layers
    if layers != set(range(wanted)):
        raise CheckpointError(
            file, f"gpt.gpt.h has {len(layers)} layers, wanted {wanted} as {CONFIG_FILE} says"
        )


def _read_gpt(
    table: TensorTable, config: XttsConfig, vocabulary: Vocabulary, dtype: torch.dtype
) -> GptWeights:
    sizes = config.model_args
    width, audio_ids = sizes.gpt_n_model_channels, sizes.gpt_num_audio_tokens
    text_positions = sizes.gpt_max_text_tokens + _EXTRA_TEXT_POSITIONS
    mel_positions = sizes.gpt_max_audio_tokens + _EXTRA_AUDIO_POSITIONS
    return GptWeights(
        text_embedding=table.take("gpt.text_embedding.weight", vocabulary.ids, width),
        text_positions=table.take("gpt.text_pos_embedding.emb.weight", text_positions, width),
        mel_embedding=table.take("gpt.mel_embedding.weight", audio_ids, width),
        mel_positions=table.take("gpt.mel_pos_embedding.emb.weight", mel_positions, width),
        layers=tuple(
            _read_layer(table, f"gpt.gpt.h.{index}", width, dtype)
            for index in range(sizes.gpt_layers)
        ),
        ln_f_weight=table.take("gpt.gpt.ln_f.weight", width),
        ln_f_bias=table.take("gpt.gpt.ln_f.bias", width),
        final_norm_weight=table.take("gpt.final_norm.weight", width),
        final_norm_bias=table.take("gpt.final_norm.bias", width),
        mel_head_weight=table.take("gpt.mel_head.weight", audio_ids, width),
        mel_head_bias=table.take("gpt.mel_head.bias", audio_ids),
        heads=sizes.gpt_n_heads,
        start_text_id=vocabulary.start_id,
        stop_text_id=vocabulary.stop_id,
        start_mel_id=sizes.gpt_start_audio_token,
        stop_mel_id=sizes.gpt_stop_audio_token,
    )


def _read_layer(table: TensorTable, name: str, width: int, dtype: torch.dtype) -> LayerWeights:
    def linear(part: str, into: int, out: int) -> tuple[Tensor, Tensor]:
        # The file holds [in, out].
        weight = table.take_transposed(f"{name}.{part}.weight", into, out, dtype)
        return weight, table.take(f"{name}.{part}.bias", out, dtype=dtype)

    def norm(part: str) -> tuple[Tensor, Tensor]:
        return (
            table.take(f"{name}.{part}.weight", width),
            table.take(f"{name}.{part}.bias", width),
        )

    return LayerWeights(
        *norm("ln_1"),
        *linear("attn.c_attn", width, 3 * width),
        *linear("attn.c_proj", width, width),
        *norm("ln_2"),
        *linear("mlp.c_fc", width, 4 * width),
        *linear("mlp.c_proj", 4 * width, width),
    )
