"""HuBERT as people have it: fairseq's `hubert_base.pt`, or a folder of Hugging Face.

    hubert_base.pt                                   fairseq, the name does not matter
    hubert_base/config.json, pytorch_model.bin       or model.safetensors

Both hold the same network under different names. fairseq is not needed to read its file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..archive import name_of_today, read_archive
from ..errors import CheckpointError
from ..tensors import TensorTable
from .content_weights import FIRST_TAPS, KERNELS, ContentLayer, ContentWeights

#: Classes found in fairseq's checkpoints, of all ages. None of them is needed.
_STOOD_IN_FOR: Final = (
    "argparse.Namespace",
    "fairseq.data.dictionary.Dictionary",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
    "builtins.dict",
    "builtins.int",
    "builtins.list",
    "builtins.str",
    "collections.defaultdict",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)

#: Files of a folder, the safer one first.
_FOLDER_FILES: Final = ("model.safetensors", "pytorch_model.bin")

_POSITION: Final = "encoder.pos_conv_embed.conv"

#: fairseq's names and ours, which are those of transformers. The first that fits counts.
_FROM_FAIRSEQ: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"feature_extractor\.conv_layers\.0\.2\.", "feature_extractor.conv_layers.0.layer_norm."),
        (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
        (r"layer_norm\.", "feature_projection.layer_norm."),
        (r"post_extract_proj\.", "feature_projection.projection."),
        (r"encoder\.pos_conv\.0\.", f"{_POSITION}."),
        (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
        (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
        (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
        (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
    )
)

#: Tensors that only training needs.
_TRAINING: Final = frozenset(("mask_emb", "masked_spec_embed", "label_embs_concat"))

_LAYER: Final = re.compile(r"encoder\.layers\.(\d+)\.")

#: Width of one head where the file does not tell their number.
_HEAD_DIM: Final = 64

#: What a file may say of itself, and what RVC's encoder must be. A silent file is believed.
_REQUIRED: Final[Mapping[str, tuple[object, ...]]] = {
    # Hugging Face
    "feat_extract_norm": ("group",),
    "do_stable_layer_norm": (False,),
    "conv_bias": (False,),
    "hidden_act": ("gelu",),
    # fairseq
    "extractor_mode": ("default",),
    "layer_norm_first": (False,),
    "activation_fn": ("gelu",),
    "normalize": (False,),
}


@dataclass(frozen=True, slots=True)
class _Contents:
    file: Path
    tensors: dict[str, Tensor]
    described: Mapping[str, Any]
    #: The entry of `described` that tells the number of heads.
    heads_key: str


def read_content(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ContentWeights:
    """Read a file of fairseq or a folder of Hugging Face; compute in `dtype`.

    Raises `CheckpointError` for what is missing, broken, or another network than the HuBERT
    ("base", group norm, no normalised input) that RVC's voices were trained with.
    """
    contents = _from_folder(path) if path.is_dir() else _from_fairseq(path)
    _check_description(contents)
    table = TensorTable(contents.file, contents.tensors, torch.device(device))
    weights = _Reader(table, dtype).read(_layers_of(contents), _heads_of(contents))
    table.check_all_taken(_TRAINING)
    return weights


def _from_folder(folder: Path) -> _Contents:
    file = next((folder / name for name in _FOLDER_FILES if (folder / name).exists()), None)
    if file is None:
        raise CheckpointError(folder, f"has neither {' nor '.join(_FOLDER_FILES)}")
    config = folder / "config.json"
    try:
        described = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(config, f"cannot be read: {error}") from error
    found = _from_safetensors(file) if file.suffix == ".safetensors" else read_archive(file)
    if not isinstance(found, dict) or not isinstance(described, dict):
        raise CheckpointError(file, "is no model of Hugging Face")
    return _Contents(file, dict(_named(found, ())), described, "num_attention_heads")


def _from_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(file, f"is damaged: {error}") from error


def _from_fairseq(file: Path) -> _Contents:
    archive = read_archive(file, _STOOD_IN_FOR)
    found = archive.get("model") if isinstance(archive, dict) else None
    if not isinstance(found, dict):
        raise CheckpointError(file, "has no entry 'model': this is no checkpoint of fairseq")
    cfg = archive.get("cfg")
    parts = cfg if isinstance(cfg, dict) else {}
    described = {
        key: value
        for part in ("model", "task")
        if isinstance(parts.get(part), dict)
        for key, value in parts[part].items()
    }
    return _Contents(file, dict(_named(found, _FROM_FAIRSEQ)), described, "encoder_attention_heads")


def _named(
    tensors: Mapping[Any, Any], renames: tuple[tuple[re.Pattern[str], str], ...]
) -> Iterator[tuple[str, Tensor]]:
    for given, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            continue
        name = str(given)
        for pattern, replacement in renames:
            if pattern.match(name):
                name = pattern.sub(replacement, name, count=1)
                break
        yield name_of_today(name), tensor


def _check_description(contents: _Contents) -> None:
    for key, allowed in _REQUIRED.items():
        value = contents.described.get(key, allowed[0])
        if value not in allowed:
            raise CheckpointError(
                contents.file,
                f"{key} is {value!r}, and RVC's HuBERT has {allowed[0]!r}: this is another encoder",
            )


def _layers_of(contents: _Contents) -> int:
    found = {int(match[1]) for name in contents.tensors if (match := _LAYER.match(name))}
    if not found or found != set(range(len(found))):
        raise CheckpointError(
            contents.file, "has no whole row of encoder.layers: this is no HuBERT"
        )
    return len(found)


def _heads_of(contents: _Contents) -> int:
    norm = contents.tensors.get("encoder.layer_norm.weight")
    width = norm.shape[0] if norm is not None and norm.dim() == 1 else _HEAD_DIM
    heads = contents.described.get(contents.heads_key, width // _HEAD_DIM)
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise CheckpointError(
            contents.file, f"{contents.heads_key} is {heads!r}, which does not divide {width}"
        )
    return heads


class _Reader:
    """Takes what a table holds, shape by shape."""

    def __init__(self, table: TensorTable, dtype: torch.dtype) -> None:
        self._table = table
        self._dtype = dtype

    def read(self, layers: int, heads: int) -> ContentWeights:
        take = self._take
        front = "feature_extractor.conv_layers"
        norm = take("encoder.layer_norm.weight", None)
        first = self._table.take(f"{front}.0.conv.weight", None, 1, KERNELS[0])
        channels, width = first.shape[0], norm.shape[0]
        return ContentWeights(
            first=pad(first[:, 0].T, (0, 0, 0, FIRST_TAPS - KERNELS[0])).contiguous(),
            first_norm_weight=self._table.take(f"{front}.0.layer_norm.weight", channels),
            first_norm_bias=self._table.take(f"{front}.0.layer_norm.bias", channels),
            convolutions=tuple(
                take(f"{front}.{index}.conv.weight", channels, channels, taps)
                .permute(2, 1, 0)
                .reshape(taps * channels, channels)
                for index, taps in enumerate(KERNELS[1:], start=1)
            ),
            features_norm_weight=take("feature_projection.layer_norm.weight", channels),
            features_norm_bias=take("feature_projection.layer_norm.bias", channels),
            features_weight=take("feature_projection.projection.weight", width, channels),
            features_bias=take("feature_projection.projection.bias", width),
            position_weight=self._table.take_convolution(
                _POSITION, width, None, None, norm_dim=2
            ).to(self._dtype),
            position_bias=take(f"{_POSITION}.bias", width),
            norm_weight=norm,
            norm_bias=take("encoder.layer_norm.bias", width),
            layers=tuple(self._layer(f"encoder.layers.{index}", width) for index in range(layers)),
            final_weight=take("final_proj.weight", None, width),
            final_bias=take("final_proj.bias", None),
            heads=heads,
        )

    def _layer(self, name: str, width: int) -> ContentLayer:
        def linear(part: str, out: int | None, into: int) -> tuple[Tensor, Tensor]:
            weight = self._take(f"{name}.{part}.weight", out, into)
            return weight, self._take(f"{name}.{part}.bias", weight.shape[0])

        def norm(part: str) -> tuple[Tensor, Tensor]:
            return (
                self._take(f"{name}.{part}.weight", width),
                self._take(f"{name}.{part}.bias", width),
            )

        qkv = [linear(f"attention.{part}_proj", width, width) for part in "qkv"]
        into_weight, into_bias = linear("feed_forward.intermediate_dense", None, width)
        return ContentLayer(
            torch.cat([weight for weight, _ in qkv]),
            torch.cat([bias for _, bias in qkv]),
            *linear("attention.out_proj", width, width),
            *norm("layer_norm"),
            into_weight,
            into_bias,
            *linear("feed_forward.output_dense", width, into_weight.shape[0]),
            *norm("final_layer_norm"),
        )

    def _take(self, name: str, *sizes: int | None) -> Tensor:
        return self._table.take(name, *sizes, dtype=self._dtype)
