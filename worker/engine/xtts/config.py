"""The two text files of a checkpoint: `config.json` and `vocab.json`.

Only what cannot be seen in the tensors is taken from them as true; every size that they state
is checked against the tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from ..errors import CheckpointError


class ModelArgs(BaseModel):
    """`model_args`: the sizes and ids of the networks."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    gpt_layers: PositiveInt
    gpt_n_model_channels: PositiveInt
    gpt_n_heads: PositiveInt
    gpt_num_audio_tokens: PositiveInt
    gpt_start_audio_token: int
    gpt_stop_audio_token: int
    gpt_max_audio_tokens: PositiveInt
    gpt_max_text_tokens: PositiveInt
    gpt_use_perceiver_resampler: bool = False
    #: Samples of the input rate that one audio id stands for.
    gpt_code_stride_len: PositiveInt = 1024
    input_sample_rate: PositiveInt = 22050
    output_sample_rate: PositiveInt = 24000
    #: Samples that the vocoder makes of one frame.
    output_hop_length: PositiveInt = 256
    d_vector_dim: PositiveInt = 512


class XttsConfig(BaseModel):
    """`config.json`. Names are those of the file; what is not needed is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    model_args: ModelArgs
    languages: tuple[str, ...]
    temperature: float = 0.75
    length_penalty: float = 1.0
    repetition_penalty: float = 5.0
    top_k: int = 50
    top_p: float = 0.85
    #: Seconds of reference audio that are listened to, and in pieces of how many.
    gpt_cond_len: PositiveInt = 30
    gpt_cond_chunk_len: PositiveInt = 4
    #: Seconds of each reference file that are read.
    max_ref_len: PositiveInt = 30
    sound_norm_refs: bool = False

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the file. Raises `CheckpointError` naming the key that is wrong."""
        fields = _read_json(file)
        try:
            config = cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise CheckpointError(file, f"{key}: {first['msg']}") from error
        config._check(file)
        return config

    def _check(self, file: Path) -> None:
        sizes = self.model_args
        if not sizes.gpt_use_perceiver_resampler:
            raise CheckpointError(
                file, "gpt_use_perceiver_resampler is not true: this is XTTS v1, v2 is needed"
            )
        if sizes.gpt_n_model_channels % sizes.gpt_n_heads:
            raise CheckpointError(
                file,
                f"gpt_n_heads {sizes.gpt_n_heads} does not divide "
                f"gpt_n_model_channels {sizes.gpt_n_model_channels}",
            )
        for key in ("gpt_start_audio_token", "gpt_stop_audio_token"):
            if not 0 <= getattr(sizes, key) < sizes.gpt_num_audio_tokens:
                raise CheckpointError(
                    file,
                    f"{key} {getattr(sizes, key)} is none of {sizes.gpt_num_audio_tokens} ids",
                )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the decoder must know of `vocab.json`."""

    #: One more than the largest id; there may be gaps.
    ids: int
    start_id: int
    stop_id: int

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the file. Raises `CheckpointError`."""
        fields = _read_json(file)
        try:
            ids: dict[str, int] = dict(fields["model"]["vocab"])
            ids.update({token["content"]: token["id"] for token in fields["added_tokens"]})
            return cls(max(ids.values()) + 1, ids["[START]"], ids["[STOP]"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(file, f"is no vocabulary of XTTS: no {error}") from error


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(file, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(file, f"is not JSON: {error}") from error
