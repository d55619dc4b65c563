"""Tiny XTTS-v2 checkpoints in the true format, and coqui-tts as the judge of what they say.

They are written with coqui-tts' own classes: 2 layers, 64 wide, 66 audio ids, a vocoder that
begins with 32 channels. Random weights as they are initialised make flat logits and a constant
hum; here they are drawn so that every part is heard.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

WIDTH = 64
HEADS = 4
LAYERS = 2

#: 64 codes, the start and the stop.
AUDIO_IDS = 66

#: One utterance has 37 codes at most, where the published model has 602.
MAX_AUDIO_TOKENS = 40

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-cn",
             "hu", "ko", "ja", "hi")  # fmt: skip

VOICES = ("Alice", "Bob")

#: With which the vocoder begins, where the published one has 512.
VOCODER_CHANNELS = 32

#: `[START]` is not where it is in the published vocabulary, and there is a gap before the letters.
SPECIALS = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 5}
FIRST_LANGUAGE_ID = 6
FIRST_LETTER_ID = 40
LETTERS = "abcdefghijklmnopqrstuvwxyzáéíóúãõçñäöüßабвгдежзий0123456789.,!?'-"


#: Tensors to be spoilt: of the decoder, and of the vocoder.
A_LAYER = "gpt.gpt.h.1.mlp.c_fc.weight"
A_CONVOLUTION = "hifigan_decoder.waveform_decoder.ups.2"


@contextmanager
def slim() -> Iterator[None]:
    """Make coqui-tts build a small vocoder and speaker encoder; their sizes are in no file."""
    from TTS.encoder.models.resnet import ResNetSpeakerEncoder
    from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder

    encoder = functools.partial(ResNetSpeakerEncoder, layers=[1] * 4, num_filters=[8, 8, 16, 16])
    decoder = functools.partial(HifiDecoder, upsample_initial_channel_decoder=VOCODER_CHANNELS)
    with (
        patch("TTS.tts.layers.xtts.hifigan_decoder.ResNetSpeakerEncoder", encoder),
        patch("TTS.tts.models.xtts.HifiDecoder", decoder),
    ):
        yield


def write_checkpoint(
    directory: Path,
    *,
    seed: int = 0,
    stop_bias: float = 2.0,
    max_audio_tokens: int = MAX_AUDIO_TOKENS,
) -> None:
    """Write the four files. With a higher `stop_bias` utterances end earlier."""
    from TTS.tts.models.xtts import Xtts

    directory.mkdir(parents=True)
    write_vocabulary(directory / "vocab.json")
    config = configuration(max_audio_tokens)
    config.save_json(directory / "config.json")
    # In the file they are empty, as published; the constructor asks for them.
    config.model_args.gpt_start_text_token = SPECIALS["[START]"]
    config.model_args.gpt_stop_text_token = SPECIALS["[STOP]"]
    torch.manual_seed(seed)
    with slim():
        model = Xtts(config)
    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for name, tensor in state.items():
        tensor.copy_(drawn(name, tensor, generator))
    state["gpt.mel_head.bias"][AUDIO_IDS - 1] += stop_bias
    for name in [name for name in state if name.endswith("original0")]:
        directions = state[name.replace("original0", "original1")]
        # Lengths that are not those of the directions: folding them in must matter.
        state[name].copy_(1.1 * directions.flatten(1).norm(dim=1)[:, None, None])
    torch.save(
        {"model": state, "config": json.loads((directory / "config.json").read_text())},
        directory / "model.pth",
    )
    torch.save(
        {name: voice(generator) for name in VOICES},
        directory / "speakers_xtts.pth",
    )


def save(directory: Path, state: dict[str, Tensor], **others: Any) -> Path:
    """Put other tensors into a checkpoint."""
    torch.save({"model": state, **others}, directory / "model.pth")
    return directory


def configuration(max_audio_tokens: int = MAX_AUDIO_TOKENS) -> Any:
    """Return the configuration as coqui-tts holds it."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig

    sizes = XttsArgs(
        gpt_layers=LAYERS,
        gpt_n_model_channels=WIDTH,
        decoder_input_dim=WIDTH,
        gpt_n_heads=HEADS,
        gpt_num_audio_tokens=AUDIO_IDS,
        gpt_start_audio_token=AUDIO_IDS - 2,
        gpt_stop_audio_token=AUDIO_IDS - 1,
        gpt_max_audio_tokens=max_audio_tokens,
        gpt_max_text_tokens=402,
        gpt_number_text_tokens=FIRST_LETTER_ID + len(LETTERS),
        gpt_use_perceiver_resampler=True,
        gpt_code_stride_len=1024,
    )
    return XttsConfig(
        model_args=sizes,
        languages=list(LANGUAGES),
        temperature=0.75,
        repetition_penalty=5.0,
        top_k=50,
        top_p=0.85,
        gpt_cond_len=30,
        max_ref_len=30,
    )


def write_vocabulary(file: Path) -> None:
    """Write a byte pair encoding of single letters, with the special tokens of XTTS."""
    specials = dict(SPECIALS)
    specials |= {f"[{name}]": FIRST_LANGUAGE_ID + at for at, name in enumerate(LANGUAGES)}
    letters = {letter: FIRST_LETTER_ID + at for at, letter in enumerate(LETTERS)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False}
    added = [
        {"id": at, "content": name, "normalized": False, "special": True, **plain}
        for name, at in specials.items()
    ]
    fields = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "BPE",
            "unk_token": "[UNK]",
            "fuse_unk": False,
            "vocab": specials | letters,
            "merges": [],
        },
    }
    file.write_text(json.dumps(fields), encoding="utf-8")


def drawn(name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Return what a tensor of the model is to hold."""
    if not tensor.is_floating_point() or tensor.dim() < 2 or "original0" in name:
        return torch.linspace(1, 3, len(tensor)) if name == "mel_stats" else tensor
    if name.startswith("gpt.gpt.h."):
        return 0.08 * torch.randn(tensor.shape, generator=generator)
    if name.startswith("gpt.mel_head"):
        # Steep logits: the best id is far ahead of the second, whatever the rounding.
        return 8 * tensor
    if name.endswith("proj_out.weight"):
        return 0.05 * torch.randn(tensor.shape, generator=generator)
    if name.startswith("hifigan_decoder.waveform_decoder"):
        # A transposed convolution sums over its first dimension, half of its kernel at a time.
        addends = tensor[0].numel() if ".ups." not in name else tensor.shape[0] * 2
        # As much comes out as goes in, and at the end it is as loud as speech.
        gain = 0.3 if ".convs2." in name else 0.15 if ".conv_post." in name else 1.2
        return gain * addends**-0.5 * torch.randn(tensor.shape, generator=generator)
    return tensor


def voice(generator: torch.Generator) -> dict[str, Tensor]:
    """Return one entry of the file of voices."""
    embedding = torch.randn(1, 512, 1, generator=generator)
    return {
        "gpt_cond_latent": torch.randn(1, 32, WIDTH, generator=generator),
        "speaker_embedding": embedding / embedding.norm(),
    }


def reference(directory: Path) -> Any:
    """Return the `Xtts` model that coqui-tts itself makes of a checkpoint.

    Coqui-tts rewrites the file of an old checkpoint: give it one of its own.
    """
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(directory / "config.json")
    with slim():
        model = Xtts(config)
        model.load_checkpoint(config, checkpoint_dir=directory)
    return model
