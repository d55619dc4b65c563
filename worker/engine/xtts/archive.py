"""The tensors of XTTS files, by the names of today, and what else their pickles may carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from torch import Tensor

from .. import archive
from ..archive import name_of_today
from ..errors import CheckpointError

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


def read_archive(file: Path) -> Any:
    """Return what a file holds; the configuration in it becomes stand-ins. See `archive`."""
    return archive.read_archive(file, _STOOD_IN_FOR)


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a model by the names of today, without a trainer's additions."""
    holds = read_archive(file)
    found = holds.get("model") if isinstance(holds, dict) else None
    if not isinstance(found, dict):
        raise CheckpointError(file, "has no entry 'model'")
    named = (
        (name_of_today(str(name).removeprefix(_TRAINER_PREFIX)), tensor)
        for name, tensor in found.items()
    )
    return {
        name: tensor
        for name, tensor in named
        if isinstance(tensor, Tensor) and name.split(".")[0] not in _TRAINER_PARTS
    }
