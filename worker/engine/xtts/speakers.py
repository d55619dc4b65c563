"""The voices that come with a checkpoint: `speakers_xtts.pth`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..tensors import TensorTable
from .archive import read_archive
from .weights import CONDITIONING


@dataclass(frozen=True, slots=True)
class Speaker:
    """One voice, as the GPT hears it and as the vocoder colours it."""

    latents: Tensor  # [32, D] float32
    embedding: Tensor  # [E] float32
    #: A hash of both: what decides the sound.
    revision: str

    @classmethod
    def of(cls, latents: Tensor, embedding: Tensor) -> Speaker:
        """Name the tensors by their hash."""
        digest = hashlib.sha256()
        for tensor in (latents, embedding):
            digest.update(tensor.float().cpu().numpy().tobytes())
        return cls(latents, embedding, digest.hexdigest())

    def on(self, device: torch.device) -> Speaker:
        """Return the same voice on a device."""
        return Speaker(self.latents.to(device), self.embedding.to(device), self.revision)


def read_speakers(
    file: Path, device: torch.device, width: int, embedding_width: int
) -> dict[str, Speaker]:
    """Return the voices by name. A checkpoint without the file has none.

    Raises `CheckpointError` naming the voice that is wrong.
    """
    if not file.exists():
        return {}
    archive = read_archive(file)
    if not isinstance(archive, Mapping):
        raise CheckpointError(file, "is no list of voices")
    return {
        str(name): _read_speaker(file, str(name), entry, device, width, embedding_width)
        for name, entry in archive.items()
    }


def _read_speaker(
    file: Path, name: str, entry: Any, device: torch.device, width: int, embedding_width: int
) -> Speaker:
    if not isinstance(entry, Mapping):
        raise CheckpointError(file, f"{name} is no voice")
    table = TensorTable(file, {f"{name}/{key}": value for key, value in entry.items()}, device)
    return Speaker.of(
        table.take(f"{name}/gpt_cond_latent", 1, CONDITIONING, width)[0],
        table.take(f"{name}/speaker_embedding", 1, embedding_width, 1)[0, :, 0],
    )
