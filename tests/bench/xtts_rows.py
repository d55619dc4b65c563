"""Rows for the measurements of XTTS: weights of the true shapes, prompts, and what they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import torch
from torch import Tensor

from tests.unit.worker.engine.xtts.random_gpt import random_gpt
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import Sampling
from worker.engine.xtts.weights import CONDITIONING, GptWeights

#: The published model.
TRUE_SHAPES: Final[dict[str, int]] = {
    "layers": 30,
    "width": 1024,
    "heads": 16,
    "audio_ids": 1026,
    "text_ids": 6681,
    "max_codes": 602,
    "max_text_ids": 401,
}

DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

#: Steps of one burst.
BURST: Final = 8

#: The shortest text, and how many lengths there are, in ids: with its voice the mean prompt has
#: about 95 positions.
_SHORTEST: Final = 31
_LENGTHS: Final = 61

#: Added to the stop id's logit: never drawn, though it is tested for at every step.
_NEVER: Final = -1e4


def true_gpt(device: torch.device, dtype: torch.dtype) -> GptWeights:
    """Return the published shapes; rows are as long as their caps say."""
    return random_gpt(**TRUE_SHAPES, device=str(device), dtype=dtype, stop_bias=_NEVER)


def moved_to(device: torch.device, weights: Any, dtype: torch.dtype | None = None) -> Any:
    """Return weights on `device`, the layers' linear maps in `dtype` if one is given."""

    def moved(name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(moved_to(device, one, dtype) for one in value)
        if isinstance(value, Tensor):
            is_linear = name.startswith(("qkv", "proj", "fc"))
            return value.to(device, dtype if dtype and is_linear else value.dtype)
        return value

    names = [field.name for field in fields(weights)]
    return type(weights)(**{name: moved(name, getattr(weights, name)) for name in names})


def prompt_of(
    weights: GptWeights,
    slot: int,
    number: int,
    *,
    codes: int | None = None,
    greedy: bool = False,
    voice: Tensor | None = None,
) -> Prompt:
    """Return one of many prompts, each with its own text and seed, and without `voice` its own."""
    generator = torch.Generator().manual_seed(number)
    length = _SHORTEST + number * 7 % _LENGTHS
    if voice is None:
        # Drawn and copied here: a GPU waits for it.
        drawn = torch.randn(CONDITIONING, weights.width, generator=generator)
        voice = drawn.to(weights.device)
    return Prompt(
        slot=slot,
        text_ids=torch.randint(3, weights.text_ids, (length,), generator=generator).tolist(),
        conditioning=voice,
        sampling=Sampling(seed=number, greedy=greedy),
        max_codes=codes,
    )


def takes_of(decoder: Decoder, prompts: Sequence[Prompt]) -> list[tuple[list[int], Tensor]]:
    """Decode prompts together; return the ids and latents of each, on the host."""
    decoder.prefill(prompts)
    missing = len(prompts)
    while missing:
        decoder.burst(BURST)
        missing -= len(decoder.poll())
    return [
        (decoder.codes(prompt.slot).tolist(), decoder.latents(prompt.slot).to("cpu", copy=True))
        for prompt in prompts
    ]
