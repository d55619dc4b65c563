"""A farm's models with random weights, as files below its home: XTTS-v2, HuBERT, RMVPE, voices.

The published shapes on a GPU, small ones on a processor. Random weights never end a text of
themselves: the last layer of XTTS' decoder has none, and its bias ends takes by chance, after 6 s
in the mean.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from producer.volumes import Volumes
from tests.unit.worker.engine.rvc.tiny_index import write
from tests.unit.worker.engine.rvc.tiny_voice import write_voice
from tests.unit.worker.engine.xtts import tiny_checkpoint
from worker.engine.rvc.library import RvcLibrary
from worker.engine.rvc.shared_files import CONTENT_FILES, PITCH_FILE, VOICES
from worker.engine.xtts.sampling import Sampling
from worker.engine.xtts.weights import CONDITIONING

from .farm_texts import WORDS
from .rvc_networks import TINY_SHAPES, TRUE_SHAPES, Random, Shapes, index_of, rmvpe_of
from .xtts_published import EMBEDDING, drawn_model, write_description

#: How long a take is in the mean, and how long one code is. [s]
TAKE_S: Final = 6.0
_CODE_S: Final = 1024 / 22_050

#: Names of the voices that speak, and of those that are converted into.
SPEAKERS: Final = ("anna", "bert")
TARGETS: Final = ("clara", "dora")


def write_xtts(home: Path, device: str) -> None:
    """Write XTTS' files below `home`."""
    begun_s = time.perf_counter()
    volumes = Volumes(home)
    volumes.make()
    directory = volumes.models / "xtts"
    if device == "cpu":
        tiny_checkpoint.write_checkpoint(directory, stop_bias=6.0)
    else:
        _write_published(directory, torch.device(device))
        gc.collect()
        torch.cuda.empty_cache()
    print(f"   XTTS written in {time.perf_counter() - begun_s:.0f} s", flush=True)


def stop_bias(ids: int, codes: float, sampling: Sampling | None = None) -> float:
    """Return the stop id's bias with which a take has so many codes in the mean, by chance.

    All other logits are 0, as the head has no weights: they stay so when their ids are penalised,
    all tie with the best `top_k`, and of them the first go that make up `1 - top_p`. So at every
    step of every take the stop id has the same chance, whatever the voice, the text and the GPU.
    """
    sampling = sampling or Sampling()
    others, chance = ids - 1, 1 / codes
    # chance = x / (top_p * (others + x)), where x stands to 1 as the stop id to any other.
    weight = chance * sampling.top_p * others / (1 - chance * sampling.top_p)
    return sampling.temperature * math.log(weight)


def _write_published(directory: Path, device: torch.device) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_description(directory, words=WORDS)
    state = {name: tensor.cpu() for name, tensor in drawn_model(device).state_dict().items()}
    head = state["gpt.mel_head.weight"], state["gpt.mel_head.bias"]
    for tensor in head:
        tensor.zero_()
    head[1][-1] = stop_bias(len(head[1]), TAKE_S / _CODE_S)
    torch.save({"model": state}, directory / "model.pth")
    width = state["gpt.mel_head.weight"].shape[1]
    draw = torch.Generator().manual_seed(1)
    voices = {
        name: {
            "gpt_cond_latent": torch.randn(1, CONDITIONING, width, generator=draw),
            "speaker_embedding": torch.randn(1, EMBEDDING, 1, generator=draw),
        }
        for name in SPEAKERS
    }
    torch.save(voices, directory / "speakers_xtts.pth")


def write_rvc(directory: Path, shapes: Shapes) -> None:
    """Write the shared networks and the voices of RVC."""
    begun_s = time.perf_counter()
    directory.mkdir(parents=True, exist_ok=True)
    _write_hubert(directory / CONTENT_FILES[1], *shapes.content)
    torch.save(_rmvpe_state(shapes), directory / PITCH_FILE)
    for number, name in enumerate(TARGETS):
        voice = write_voice(directory / f"{name}.pth", sizes=shapes.voice, seed=number)
        index = write(index_of(number, shapes.vectors), directory / f"{name}.index")
        RvcLibrary(directory / VOICES).add(name, voice, index)
    print(f"   RVC written in {time.perf_counter() - begun_s:.0f} s", flush=True)


def _write_hubert(folder: Path, channels: int, layers: int) -> None:
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(num_hidden_layers=layers, conv_dim=(channels,) * 7)
    model = HubertModel(config)
    projection = torch.nn.Linear(config.hidden_size, 256)
    final = {f"final_proj.{name}": tensor for name, tensor in projection.state_dict().items()}
    folder.mkdir(exist_ok=True)
    torch.save({**model.state_dict(), **final}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(config.to_json_string(use_diff=False))


def _rmvpe_state(shapes: Shapes) -> dict[str, Tensor]:
    """Return the network of `rmvpe_of` by the names of the file, with norms that do nothing."""
    network = rmvpe_of(Random(torch.device("cpu"), torch.float32, 2), shapes)
    state: dict[str, Tensor] = {}

    def norm(name: str, bias: Tensor) -> None:
        parts = {"weight": torch.ones_like(bias), "bias": bias, "running_mean": 0 * bias}
        state.update({f"{name}.{part}": tensor for part, tensor in parts.items()})
        state[f"{name}.running_var"] = torch.ones_like(bias)

    def normed(name: str, place: int, found: Any) -> None:
        state[f"{name}.{place}.weight"] = found.weight
        norm(f"{name}.{place + 1}", found.bias)

    def plain(name: str, found: Any) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = found.weight, found.bias

    def blocks(name: str, found: Any) -> None:
        for number, block in enumerate(found):
            normed(f"{name}.{number}.conv", 0, block.first)
            normed(f"{name}.{number}.conv", 3, block.second)
            if block.shortcut is not None:
                plain(f"{name}.{number}.shortcut", block.shortcut)

    norm("unet.encoder.bn", torch.zeros(1))
    for level, found in enumerate(network.down):
        blocks(f"unet.encoder.layers.{level}.conv", found)
    blocks("unet.intermediate.layers.0.conv", network.bottom)
    for level, rise in enumerate(network.up):
        normed(f"unet.decoder.layers.{level}.conv1", 0, rise.upsampling)
        blocks(f"unet.decoder.layers.{level}.conv2", rise.blocks)
    plain("cnn", network.last)
    for name, tensor in network.recurrence.state_dict().items():
        state[f"fc.0.gru.{name}"] = tensor
    state["fc.1.weight"], state["fc.1.bias"] = network.head_weight, network.head_bias
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


if __name__ == "__main__":
    # RVC's files alone, beside whoever writes those of XTTS.
    write_rvc(
        Volumes(Path(sys.argv[1])).models / "rvc",
        TINY_SHAPES if sys.argv[2] == "cpu" else TRUE_SHAPES,
    )
