"""Reading the `.pth` files that people have, without running anything that is in them.

A `.pth` file is a zip archive: one pickle that says what there is, and the bytes of each tensor.
The pickle may build tensors and plain containers. The configuration that the first published
files carry becomes empty stand-ins; any other name is refused. The bytes are mapped, not read:
what is never looked at never costs memory.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from .errors import CheckpointError

#: Classes found in published checkpoints and in those of trainers. None of them is needed.
_STOOD_IN_FOR: Final = (
    "TTS.config.shared_configs.BaseAudioConfig",
    "TTS.config.shared_configs.BaseDatasetConfig",
    "TTS.config.shared_configs.BaseTrainingConfig",
    "TTS.tts.configs.shared_configs.BaseTTSConfig",
    "TTS.tts.configs.shared_configs.CharactersConfig",
    "TTS.tts.configs.xtts_config.XttsArgs",
    "TTS.tts.configs.xtts_config.XttsAudioConfig",
    "TTS.tts.configs.xtts_config.XttsConfig",
    "TTS.tts.layers.xtts.trainer.gpt_trainer.GPTArgs",
    "TTS.tts.layers.xtts.trainer.gpt_trainer.GPTTrainerConfig",
    "TTS.tts.models.xtts.XttsArgs",
    "TTS.tts.models.xtts.XttsAudioConfig",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)

#: What a trainer wraps the model in, and what it adds to it.
_TRAINER_PREFIX: Final = "xtts."
_TRAINER_PARTS: Final = frozenset(
    ("dvae", "torch_mel_spectrogram_dvae", "torch_mel_spectrogram_style_encoder")
)

#: How weight norm named its two tensors before torch 2.1, and since.
_NORM_NAMES: Final = (
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)


class StandIn:
    """Takes the place of an object that is not wanted, and keeps nothing of it."""

    def __new__(cls, *_arguments: object) -> StandIn:
        """Ignore what the object would have been made of."""
        return super().__new__(cls)

    def __init__(self, *_arguments: object) -> None:
        """Ignore it here too."""

    def __setstate__(self, _state: object) -> None:
        """Ignore what the object would have held."""


def read_archive(file: Path) -> Any:
    """Return what a file holds, its tensors mapped copy-on-write on the CPU.

    Raises `CheckpointError` if it is missing or broken, and for a pickle that asks for any name
    beyond the fixed list: the error tells the name, and nothing was called.
    """
    try:
        with torch.serialization.safe_globals([(StandIn, name) for name in _STOOD_IN_FOR]):
            return torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    # A damaged file makes the reader stumble in any way there is.
    except Exception as error:
        raise CheckpointError(file, _fault(file, error)) from error


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a model by the names of today, without a trainer's additions."""
    archive = read_archive(file)
    found = archive.get("model") if isinstance(archive, dict) else None
    if not isinstance(found, dict):
        raise CheckpointError(file, "has no entry 'model'")
    named = ((_name_of_today(str(name)), tensor) for name, tensor in found.items())
    return {
        name: tensor
        for name, tensor in named
        if isinstance(tensor, Tensor) and name.split(".")[0] not in _TRAINER_PARTS
    }


def fingerprint(file: Path) -> str:
    """Return a hash of the contents: it changes when a tensor, its name or its shape changes.

    It is taken from the archive's own table (name, length and CRC-32 of every member), so that
    it costs no second reading of gigabytes. Bytes that were damaged later, under an unchanged
    table, keep the fingerprint. The name of the file and of its folder have no part in it.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                # The first part is the name under which the file was once saved.
                name = member.filename.partition("/")[2]
                digest.update(f"{name}\0{member.file_size}\0{member.CRC}\n".encode())
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(file, _fault(file, error)) from error
    return digest.hexdigest()


def _name_of_today(name: str) -> str:
    name = name.removeprefix(_TRAINER_PREFIX)
    for old, new in _NORM_NAMES:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _fault(file: Path, error: Exception) -> str:
    # Only what comes from opening the file knows its name.
    if isinstance(error, OSError) and error.filename:
        return f"cannot be read: {error.strerror}"
    wanted = re.search(r"GLOBAL (\S+)", str(error))
    if wanted:
        return f"wants to call {wanted[1]}, which no model needs; it was not called"
    if not zipfile.is_zipfile(file):
        return "is no archive of torch.save, or only a part of one"
    return f"is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
