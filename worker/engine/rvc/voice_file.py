"""A voice: the `.pth` that people have.

It becomes tensors with weight norm folded in, in float32, and is checked strictly: every tensor
that the configuration asks for, in its shape, finite, and no other. The posterior encoder, which
only training needs, may be there and is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from ..archive import name_of_today, read_archive
from ..errors import CheckpointError
from ..tensors import TensorTable
from .voice_config import VoiceConfig
from .voice_tensors import NORMED, shapes_of

#: What only training needs.
_UNUSED: Final = ("enc_q.",)

#: Entries of what training leaves beside the voice, which is far larger and no voice.
_TRAINING: Final = frozenset(("model", "optimizer", "iteration", "learning_rate"))

_CPU: Final = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class VoiceWeights:
    """All tensors of one voice, on the CPU, by the names of the file without weight norm."""

    config: VoiceConfig
    tensors: Mapping[str, Tensor]

    @property
    def size_bytes(self) -> int:
        """Of the tensors in float32."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def read_voice(file: Path) -> VoiceWeights:
    """Read a voice. Raises `CheckpointError` with the file and the fault."""
    found = read_archive(file)
    state = _state_of(file, found)
    speakers = state.get("emb_g.weight")
    if speakers is None:
        raise CheckpointError(file, "emb_g.weight is missing")
    config = VoiceConfig.read(file, found, len(speakers))
    return VoiceWeights(config, _folded(file, config, state))


def _state_of(file: Path, found: Any) -> dict[str, Tensor]:
    """Return the tensors by the names of today."""
    if not isinstance(found, Mapping):
        raise CheckpointError(file, "is no voice: it holds no entries")
    weight = found.get("weight")
    if not isinstance(weight, Mapping):
        if _TRAINING & found.keys():
            raise CheckpointError(
                file, "is a file of training (G_*.pth or D_*.pth): extract the voice from it first"
            )
        raise CheckpointError(file, "is no voice: it has no entry 'weight'")
    return {
        name_of_today(str(name)): tensor
        for name, tensor in weight.items()
        if isinstance(tensor, Tensor) and not str(name).startswith(_UNUSED)
    }


def _folded(file: Path, config: VoiceConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    shapes = shapes_of(config)
    _refuse_strangers(file, state, shapes)
    table = TensorTable(file, state, _CPU)
    return {
        name: table.take_convolution(name.removesuffix(".weight"), *shape)
        if NORMED.fullmatch(name)
        else table.take(name, *shape)
        for name, shape in shapes.items()
    }


def _refuse_strangers(
    file: Path, state: dict[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    for name in state:
        plain = name.replace(".parametrizations.weight.original0", ".weight").replace(
            ".parametrizations.weight.original1", ".weight"
        )
        if plain not in shapes:
            raise CheckpointError(file, f"{name} belongs to no voice of this configuration")
