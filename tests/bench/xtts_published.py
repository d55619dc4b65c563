"""coqui-tts' own XTTS model in the published sizes, or smaller ones, with weights drawn at random.

The model is made without its initialisation, which takes half a minute, and every weight is
drawn on the device. What it says is noise, but a loud one, and its best ids stand out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor

from tests.unit.worker.engine.xtts.coqui_rows import spoken_by_coqui
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import counter_noise


@dataclass(frozen=True)
class Sizes:
    """Of the GPT; the vocoder always has its own."""

    layers: int = 30
    width: int = 1024
    heads: int = 16
    #: Text ids of the published vocabulary.
    text_ids: int = 6681
    #: Audio ids of one chunk at most, some for the frame.
    audio_tokens: int = 605


PUBLISHED: Final = Sizes()
#: For a look on a CPU.
MIDDLE: Final = Sizes(layers=4, width=128, heads=4, text_ids=500)

#: Width of a voice's embedding.
EMBEDDING: Final = 512

#: Added to the stop id's logit: never drawn, though it is tested for at every step.
_NEVER: Final = -1e4

#: What torch and transformers draw at random when a module is made.
_DRAWING: Final = ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "normal_", "uniform_")

_SPECIALS: Final = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[en]": 259, "[START]": 261}
_FIRST_LETTER_ID: Final = 300
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz.,!?'-"


def configuration(sizes: Sizes = PUBLISHED) -> Any:
    """Return the configuration, as it stands in the file."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig

    return XttsConfig(
        model_args=XttsArgs(
            gpt_layers=sizes.layers,
            gpt_n_model_channels=sizes.width,
            decoder_input_dim=sizes.width,
            gpt_n_heads=sizes.heads,
            gpt_num_audio_tokens=1026,
            gpt_start_audio_token=1024,
            gpt_stop_audio_token=1025,
            gpt_max_audio_tokens=sizes.audio_tokens,
            gpt_max_text_tokens=402,
            gpt_number_text_tokens=sizes.text_ids,
            gpt_use_perceiver_resampler=True,
            gpt_code_stride_len=1024,
        )
    )


def write_description(directory: Path, sizes: Sizes = PUBLISHED, words: Sequence[str] = ()) -> None:
    """Write the configuration and a vocabulary of the right size: single letters, and `words`."""
    letters = {letter: _FIRST_LETTER_ID + at for at, letter in enumerate(_LETTERS)}
    # The last id is what its size is told from.
    ids = {**_SPECIALS, **letters, "~": sizes.text_ids - 1}
    # A word is put together letter by letter.
    begins = dict.fromkeys(word[:end] for word in words for end in range(2, len(word) + 1))
    ids |= {begin: _FIRST_LETTER_ID + len(_LETTERS) + at for at, begin in enumerate(begins)}
    merges = [f"{begin[:-1]} {begin[-1]}" for begin in begins]
    model = {"type": "BPE", "unk_token": "[UNK]", "vocab": ids, "merges": merges}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": at, "content": name, "special": True, **plain} for name, at in _SPECIALS.items()
    ]
    fields = {"version": "1.0", "added_tokens": added, "model": model}
    (directory / "vocab.json").write_text(json.dumps(fields))
    configuration(sizes).save_json(directory / "config.json")


def fresh_model(sizes: Sizes = PUBLISHED) -> Any:
    """Return coqui-tts' model as it is made, on the CPU."""
    from TTS.tts.models.xtts import Xtts

    config = configuration(sizes)
    # In the file they are empty, as published; the constructor asks for them.
    config.model_args.gpt_start_text_token = _SPECIALS["[START]"]
    config.model_args.gpt_stop_text_token = _SPECIALS["[STOP]"]
    return Xtts(config)


@torch.no_grad()
def drawn_model(device: torch.device, sizes: Sizes = PUBLISHED, seed: int = 0) -> Any:
    """Return coqui-tts' model on `device`, ready to speak; no row of it ends before its cap."""
    with _undrawn():
        model = fresh_model(sizes).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    state = model.state_dict()
    for name, tensor in state.items():
        if (scale := _scale(name, tensor)) is not None:
            tensor.normal_(generator=generator).mul_(scale)
    for name in [name for name in state if name.endswith("original0")]:
        directions = state[name.replace("original0", "original1")]
        # Lengths that are not those of the directions: folding them in must matter.
        state[name].copy_(1.1 * directions.flatten(1).norm(dim=1)[:, None, None])
    state["gpt.mel_head.bias"][-1] += _NEVER
    # As `Xtts.load_checkpoint` leaves it.
    model.hifigan_decoder.eval()
    model.gpt.init_gpt_for_inference(kv_cache=True)
    model.gpt.eval()
    return model


@contextmanager
def _undrawn() -> Iterator[None]:
    with ExitStack() as stack:
        for name in _DRAWING:
            stack.enter_context(patch.object(torch.nn.init, name, lambda tensor, *_, **__: tensor))
        yield


def _scale(name: str, tensor: Tensor) -> float | None:
    """Return the deviation of a tensor's values; None leaves it as it was made."""
    if not tensor.is_floating_point() or name.endswith("original0"):
        return None
    if tensor.dim() < 2:
        return 0.02 if name.endswith("bias") else None
    width = tensor.shape[-1]
    if name.startswith("gpt.gpt.h."):
        return 0.6 * tensor.shape[0] ** -0.5
    if name.startswith("gpt.mel_head"):
        return float(3 * width**-0.5)
    if name.startswith("hifigan_decoder.waveform_decoder"):
        # A transposed convolution sums over its first dimension, half of its kernel at a time.
        addends = tensor[0].numel() if ".ups." not in name else tensor.shape[0] * 2
        gain = 0.3 if ".convs2." in name else 0.15 if ".conv_post." in name else 1.2
        return float(gain * addends**-0.5)
    return 0.3 if "embedding" in name else 0.02


class Stock:
    """The model as `Xtts.inference` uses it, from text ids on."""

    def __init__(self, model: Any, *, half: bool = False) -> None:
        self._model = model
        self._half = half

    def speak(self, prompt: Prompt, embedding: Tensor) -> tuple[list[int], Tensor, Tensor]:
        """Return ids, latents [ids, D] and samples [n], all on the host."""
        device = prompt.conditioning.device.type
        with torch.no_grad(), torch.autocast(device, torch.float16, enabled=self._half):
            codes, latents = spoken_by_coqui(self._model, prompt)
            samples = self._model.hifigan_decoder(latents[None], g=embedding[None, :, None])
        return codes.tolist(), latents.float().cpu(), samples.float().cpu().flatten()


@contextmanager
def drawing_like_ours(seed: int) -> Iterator[None]:
    """Let coqui-tts draw with the noise that our row with this seed has.

    Everything before the draw stays its own: penalty, temperature, top-k, top-p, softmax.
    """
    steps = count()

    def multinomial(chances: Tensor, num_samples: int) -> Tensor:
        assert chances.shape[0] == num_samples == 1
        place = torch.tensor([[seed], [next(steps)]], device=chances.device)
        noise = counter_noise(place[0], place[1], chances.shape[1])
        return (chances / noise).argmax(-1, keepdim=True)

    with patch.object(torch, "multinomial", multinomial):
        yield
