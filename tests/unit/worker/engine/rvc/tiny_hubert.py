"""A small HuBERT of transformers with random weights, and the files that people have of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

#: transformers' names and those of fairseq.
_TO_FAIRSEQ = (
    (r"^feature_extractor\.conv_layers\.0\.layer_norm\.", "feature_extractor.conv_layers.0.2."),
    (r"^feature_extractor\.conv_layers\.(\d)\.conv\.", r"feature_extractor.conv_layers.\1.0."),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"^encoder\.pos_conv_embed\.conv\.", "encoder.pos_conv.0."),
    (r"\.attention\.", ".self_attn."),
    (r"^(encoder\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"\.feed_forward\.intermediate_dense\.", ".fc1."),
    (r"\.feed_forward\.output_dense\.", ".fc2."),
    (r"^masked_spec_embed$", "mask_emb"),
    (r"parametrizations\.weight\.original0", "weight_g"),
    (r"parametrizations\.weight\.original1", "weight_v"),
)


class TinyHubert:
    """The network that the files are made of, and what a peer calls it by."""

    def __init__(self, width: int = 64, layers: int = 12, heads: int = 4, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.config = HubertConfig(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=48, conv_dim=(32,) * 7, num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=16, attn_implementation="eager",
        )  # fmt: skip
        self.model = HubertModel(self.config).eval()
        self.projection = nn.Linear(width, 256)
        self._make_every_part_heard(seed)

    def _make_every_part_heard(self, seed: int) -> None:
        """A norm or a bias that is swapped or forgotten must change what comes out."""
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for name, tensor in self.model.named_parameters():
                noise = torch.randn(tensor.shape, generator=generator)
                if "norm" in name:
                    tensor.copy_(name.endswith("weight") + 0.2 * noise)
                elif name.endswith("bias"):
                    tensor.copy_(0.1 * noise)
                elif name.endswith("original0"):
                    tensor.mul_(1 + 0.3 * noise.abs())

    @property
    def state(self) -> dict[str, Tensor]:
        """All tensors by the names of transformers."""
        final = {
            f"final_proj.{name}": tensor for name, tensor in self.projection.named_parameters()
        }
        return {
            name: tensor.detach().clone()
            for name, tensor in {**self.model.state_dict(), **final}.items()
        }

    @torch.no_grad()
    def features(self, wave: Tensor, version: str) -> Tensor:
        """What a peer computes of one wave [samples]: [frames, width]."""
        states = self.model(wave[None], output_hidden_states=True).hidden_states
        if version == "v2":
            return states[-1][0]
        found: Tensor = self.projection(states[min(9, len(states) - 1)][0])
        return found

    def write_folder(self, folder: Path, file: str = "pytorch_model.bin", **told: Any) -> Path:
        """As Hugging Face keeps it."""
        folder.mkdir(parents=True, exist_ok=True)
        if file.endswith(".safetensors"):
            from safetensors.torch import save_file

            save_file(
                {name: tensor.contiguous() for name, tensor in self.state.items()}, folder / file
            )
        else:
            torch.save(self.state, folder / file)
        (folder / "config.json").write_text(
            json.dumps({**self.config.to_dict(), **told}, default=str)
        )
        return folder

    def write_fairseq(
        self,
        file: Path,
        *,
        heads: bool = True,
        half: bool = False,
        zipped: bool = True,
        **told: Any,
    ) -> Path:
        """As fairseq keeps it, with its dictionary in it."""
        state = {_fairseq_name(name): tensor for name, tensor in self.state.items()}
        state["label_embs_concat"] = torch.zeros(4, 256)
        if half:
            state = {name: tensor.half() for name, tensor in state.items()}
        model: dict[str, Any] = {"_name": "hubert", **told}
        if heads:
            model["encoder_attention_heads"] = self.config.num_attention_heads
        with fairseq_dictionary() as dictionary:
            torch.save(
                {
                    "args": None,
                    "cfg": {"model": model, "task": {"normalize": False}},
                    "model": state,
                    "task_state": {"dictionaries": [dictionary]},
                },
                file,
                _use_new_zipfile_serialization=zipped,
            )
        return file


@contextmanager
def fairseq_dictionary() -> Iterator[Any]:
    """An object that pickles as fairseq's own `Dictionary` does."""
    parts = ("fairseq", "fairseq.data", "fairseq.data.dictionary")
    kept = {name: sys.modules.get(name) for name in parts}
    for name in parts:
        sys.modules[name] = ModuleType(name)
    kind = type("Dictionary", (), {"__module__": parts[-1]})
    sys.modules[parts[-1]].Dictionary = kind  # type: ignore[attr-defined]
    try:
        dictionary = kind()
        dictionary.__dict__["symbols"] = ["<s>", "</s>"]
        yield dictionary
    finally:
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _fairseq_name(name: str) -> str:
    for pattern, replacement in _TO_FAIRSEQ:
        name = re.sub(pattern, replacement, name)
    return name
