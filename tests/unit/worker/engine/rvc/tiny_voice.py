"""Tiny RVC voices in the true format, made from our own table of tensors, no peer needed.

Random networks as they are initialised saturate or hum; here the decoder's layers have unit gain
and its level is that of speech, so that every part is heard.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from worker.engine.rvc.voice_config import VoiceConfig
from worker.engine.rvc.voice_tensors import NORMED, shapes_of

#: Upsampling rates and kernels of every published variant, and of the trainer that has 24 kHz.
UPSAMPLING: dict[tuple[str, int], tuple[list[int], list[int]]] = {
    ("v1", 32000): ([10, 4, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v1", 40000): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v1", 48000): ([10, 6, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v2", 24000): ([10, 6, 2, 2], [20, 12, 4, 4]),
    ("v2", 32000): ([10, 8, 2, 2], [20, 16, 4, 4]),
    ("v2", 40000): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v2", 48000): ([12, 10, 2, 2], [24, 20, 4, 4]),
}

SPEAKERS = 3

#: inter, hidden, filter, heads, layers, first channels, gin; kernels and dilations of blocks.
TINY = (8, 16, 32, 2, 2, 32, 8, [3, 5], [[1, 3, 5], [1, 3, 5]])
TRUE = (192, 192, 768, 2, 6, 512, 256, [3, 7, 11], [[1, 3, 5]] * 3)


def entries(
    version: str = "v2", rate: int = 40000, sizes: tuple[Any, ...] = TINY, speakers: int = 109
) -> list[Any]:
    """Return the eighteen values. The number of speakers is wrong, as it is in most files."""
    inter, hidden, filter_, heads, layers, first, gin, kernels, dilations = sizes
    rates, upsampling = UPSAMPLING[version, rate]
    spec = 513 if rate == 32000 else 1025
    return [spec, 32, inter, hidden, filter_, heads, layers, 3, 0, "1", kernels, dilations,
            rates, first, upsampling, speakers, gin, rate]  # fmt: skip


def config_of(
    version: str = "v2", rate: int = 40000, *, f0: bool = True, sizes: tuple[Any, ...] = TINY
) -> VoiceConfig:
    """Return the configuration of a voice."""
    found = {"config": entries(version, rate, sizes), "version": version, "f0": int(f0)}
    return VoiceConfig.read(Path("tiny"), found, SPEAKERS)


def tensors_of(config: VoiceConfig, seed: int = 0) -> dict[str, Tensor]:
    """Return random tensors without weight norm, loud and clear."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: _drawn(name, shape, config, generator) for name, shape in shapes_of(config).items()
    }


def published(
    version: str = "v2",
    rate: int = 40000,
    *,
    f0: bool = True,
    seed: int = 0,
    sizes: tuple[Any, ...] = TINY,
) -> dict[str, Any]:
    """Return what a `.pth` holds: tensors in half precision, weight norm as two tensors."""
    config = config_of(version, rate, f0=f0, sizes=sizes)
    weight: dict[str, Tensor] = {}
    for name, tensor in tensors_of(config, seed).items():
        if NORMED.fullmatch(name):
            lengths = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
            # Directions of another length than the weight: folding them must matter.
            weight[f"{name}_g"] = lengths.half()
            weight[f"{name}_v"] = (1.7 * tensor).half()
        else:
            weight[name] = tensor.half()
    return {
        "weight": weight,
        "config": entries(version, rate, sizes),
        "info": "20epoch",
        "sr": f"{rate // 1000}k",
        "f0": int(f0),
        "version": version,
    }


def write_voice(file: Path, version: str = "v2", rate: int = 40000, **given: Any) -> Path:
    """Write a voice; further arguments are those of `published`."""
    torch.save(published(version, rate, **given), file)
    return file


def _drawn(  # noqa: PLR0911
    name: str, shape: tuple[int, ...], config: VoiceConfig, generator: torch.Generator
) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith(("beta", "bias")):
        return 0.05 * noise
    if name.endswith("gamma"):
        return 1 + 0.1 * noise
    if ".emb_rel_" in name or name.startswith("emb_g"):
        return noise if name.startswith("emb_g") else noise / math.sqrt(shape[-1])
    if name.endswith("emb_pitch.weight"):
        return 0.3 * noise
    if name.endswith("l_linear.weight"):
        return 3 + 0 * noise
    if ".noise_convs." in name:
        return 2 * noise / math.sqrt(shape[-1])
    addends = math.prod(shape[1:])
    if ".ups." in name:
        stage = int(name.split(".")[2])
        addends = shape[0] * shape[2] // config.upsample_rates[stage]
    gain = 0.2 if ".post." in name else 0.3 if "conv_post" in name else 1.15
    if "conv_post" in name:
        # No constant: it would be the loudest thing there is.
        noise = noise - noise.mean(-1, keepdim=True)
    return gain * noise / math.sqrt(addends)
