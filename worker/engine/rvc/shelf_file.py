"""A checked voice on the shelf: one safetensors file with its tensors, its index and its card.

    voice.<name>     every tensor of the voice, weight norm folded in, float32
    index.<part>     centroids, vectors, ids, starts; missing where there is no index

The card stands in the metadata. Its revision is the hash of all that decides how the voice
sounds, taken from the tensors themselves: the same voice has the same one, however it came here.
The middle of its pitch is part of that, as it decides what `pitch="auto"` does.
Files are written beside their place and renamed: a reader sees a whole one or none.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError
from ..tensors import TensorTable
from .index_file import IndexFile
from .voice_config import VoiceConfig, config_of_fields
from .voice_file import VoiceWeights
from .voice_tensors import shapes_of

#: Under which the card stands in a file's metadata, whose values are strings.
_CARD: Final = "voicefarm.rvc"

_VOICE: Final = "voice."
_INDEX: Final = "index."


class ShelfCard(BaseModel):
    """What a voice is and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    name: str
    #: sha256 of configuration, tensors, index and `median_hz`.
    revision: str
    #: The fields of `VoiceConfig`.
    config: dict[str, Any]
    #: Vectors of the index; 0 is no index.
    vectors: int
    #: The middle of the voice's own pitch, if it is known: no file of RVC tells it.
    median_hz: float | None = None
    #: sha256 of the files that it was made of.
    model_sha256: str
    index_sha256: str | None = None
    #: ISO 8601, UTC.
    created_at: str

    def sizes(self) -> VoiceConfig:
        """Return the configuration. Raises `TypeError` if its fields are not those of one."""
        return config_of_fields(self.config)


@dataclass(frozen=True, slots=True, eq=False)
class ShelvedVoice:
    """A voice as it stands on the shelf, on the CPU."""

    card: ShelfCard
    weights: VoiceWeights
    index: IndexFile | None


def write_shelved(voice: ShelvedVoice, file: Path) -> None:
    """Write a voice, durably, in the place of one that may be there. Raises `OSError`."""
    part = file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part")
    try:
        tensors = dict(_tensors(voice.weights, voice.index))
        save_file(tensors, part, metadata={_CARD: voice.card.model_dump_json()})
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read_card(file: Path) -> ShelfCard:
    """Read what a voice is. Raises `CheckpointError`."""
    try:
        with safe_open(file, "np") as archive:
            found = (archive.metadata() or {}).get(_CARD)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(file, f"cannot be read: {error}") from error
    if found is None:
        raise CheckpointError(file, "is no voice of this farm: it has no card")
    try:
        card = ShelfCard.model_validate_json(found)
        card.sizes()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(file, f"has a card that is wrong: {where}: {first['msg']}") from error
    except TypeError as error:
        raise CheckpointError(file, f"has a card that is wrong: config: {error}") from error
    if card.name != file.stem:
        raise CheckpointError(file, f"is the voice {card.name}; give the file that name again")
    return card


def read_shelved(file: Path) -> ShelvedVoice:
    """Read a voice. Every tensor is there, of its shape and finite. Raises `CheckpointError`."""
    card = read_card(file)
    config = card.sizes()
    try:
        with safe_open(file, "pt") as archive:
            found = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(file, f"cannot be read: {error}") from error
    table = TensorTable(file, found, torch.device("cpu"))
    tensors = {name: table.take(_VOICE + name, *shape) for name, shape in shapes_of(config).items()}
    index = _index_of(file, table, config.features) if card.vectors else None
    table.check_all_taken()
    return ShelvedVoice(card, VoiceWeights(config, tensors), index)


def revision_of(weights: VoiceWeights, index: IndexFile | None, median_hz: float | None) -> str:
    """Return the hash of all that decides how a voice sounds."""
    digest = hashlib.sha256(repr(sorted(asdict(weights.config).items())).encode())
    if median_hz is not None:
        digest.update(f"\0median_hz {median_hz!r}\0".encode())
    for name, tensor in sorted(_tensors(weights, index)):
        digest.update(f"\0{name} {tuple(tensor.shape)}\0".encode())
        array: Any = tensor.numpy()
        digest.update(memoryview(array).cast("B"))
    return digest.hexdigest()


def _tensors(weights: VoiceWeights, index: IndexFile | None) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in weights.tensors.items():
        yield _VOICE + name, tensor.contiguous()
    if index is not None:
        arrays: Mapping[str, Any] = {
            "centroids": index.centroids,
            "vectors": index.vectors,
            "ids": index.ids,
            "starts": index.starts,
        }
        for name, array in arrays.items():
            yield _INDEX + name, torch.from_numpy(np.array(array))


def _index_of(file: Path, table: TensorTable, width: int) -> IndexFile:
    integers = {"dtype": torch.int64}
    vectors = table.take(_INDEX + "vectors", None, width)
    centroids = table.take(_INDEX + "centroids", None, width)
    ids = table.take(_INDEX + "ids", len(vectors), **integers)
    starts = table.take(_INDEX + "starts", len(centroids) + 1, **integers)
    if starts[0] != 0 or starts[-1] != len(vectors) or (starts.diff() < 0).any():
        raise CheckpointError(file, "has an index whose lists do not hold its vectors")
    return IndexFile(centroids.numpy(), vectors.numpy(), ids.numpy(), starts.numpy())
