"""RMVPE's file, `rmvpe.pt`, made into convolutions with their batch norms folded in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from ..archive import read_archive
from ..errors import CheckpointError
from ..tensors import TensorTable
from .mel import BANDS

#: Channels that the convolutions leave of each band, and the pitches that are told apart.
_OUT_CHANNELS: Final = 3
PITCHES: Final = 360

#: Width of one direction of the recurrence.
_HIDDEN: Final = 256

#: As in the published model.
_EPSILON: Final = 1e-5

#: What batch norm counts while it learns.
_COUNTER: Final = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution over time and bands. Transposed ones have [in, out, 3, 3]."""

    weight: Tensor  # [out, in, kernel, kernel], channels last
    bias: Tensor  # [out]


@dataclass(frozen=True, slots=True)
class Block:
    """x -> relu(second(relu(first x))) + shortcut(x), or + x."""

    first: Convolution
    second: Convolution
    shortcut: Convolution | None


@dataclass(frozen=True, slots=True)
class Rise:
    """One step up: twice as long and wide, beside what the way down had there, then blocks."""

    upsampling: Convolution
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class RmvpeWeights:
    """The whole network, from a log-mel spectrogram to how likely each pitch is."""

    #: What the spectrogram is multiplied by, and what is added. Numbers, as [1].
    scale: Tensor
    shift: Tensor
    #: The way down: blocks, then half of everything; the bottom; the way up.
    down: tuple[tuple[Block, ...], ...]
    bottom: tuple[Block, ...]
    up: tuple[Rise, ...]
    last: Convolution
    recurrence: nn.GRU
    head_weight: Tensor  # [PITCHES, 2 _HIDDEN]
    head_bias: Tensor  # [PITCHES]

    @property
    def alignment(self) -> int:
        """Frames and bands are a multiple of this."""
        return 1 << len(self.down)


def read_rmvpe(
    file: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> RmvpeWeights:
    """Read `rmvpe.pt`; compute in `dtype`. Raises `CheckpointError`.

    No depth or width is built in: they are what the tensors are.
    """
    found = read_archive(file)
    if not isinstance(found, dict) or "unet.encoder.bn.weight" not in found:
        raise CheckpointError(file, "has no unet.encoder.bn.weight: this is no model of RMVPE")
    tensors = {
        str(name): tensor
        for name, tensor in found.items()
        if isinstance(tensor, Tensor) and not str(name).endswith(_COUNTER)
    }
    table = TensorTable(file, tensors, torch.device(device))
    weights = _Reader(table, dtype).read()
    table.check_all_taken()
    return weights


class _Reader:
    """Takes what a table holds, as far as its names go."""

    def __init__(self, table: TensorTable, dtype: torch.dtype) -> None:
        self._table = table
        self._dtype = dtype

    def read(self) -> RmvpeWeights:
        scale, shift = self._norm("unet.encoder.bn", 1)
        channels = 1
        down: list[tuple[Block, ...]] = []
        while f"unet.encoder.layers.{len(down)}.conv.0.conv.0.weight" in self._table:
            down.append(self._blocks(f"unet.encoder.layers.{len(down)}.conv", channels))
            channels = _channels(down[-1])
        bottom: list[Block] = []
        level = 0
        while f"unet.intermediate.layers.{level}.conv.0.conv.0.weight" in self._table:
            bottom += self._blocks(f"unet.intermediate.layers.{level}.conv", channels)
            channels = _channels(tuple(bottom))
            level += 1
        up: list[Rise] = []
        for index in range(len(down)):
            up.append(self._rise(f"unet.decoder.layers.{index}", channels))
            channels = _channels(up[-1].blocks)
        return RmvpeWeights(
            scale.to(self._dtype),
            shift.to(self._dtype),
            tuple(down),
            tuple(bottom),
            tuple(up),
            self._convolution("cnn", channels, _OUT_CHANNELS),
            self._recurrence(),
            self._table.take("fc.1.weight", PITCHES, 2 * _HIDDEN, dtype=self._dtype),
            self._table.take("fc.1.bias", PITCHES, dtype=self._dtype),
        )

    def _blocks(self, name: str, channels: int) -> tuple[Block, ...]:
        """Take all blocks of a list; the first may change the number of channels."""
        blocks: list[Block] = []
        while f"{name}.{len(blocks)}.conv.0.weight" in self._table:
            blocks.append(self._block(f"{name}.{len(blocks)}", channels))
            channels = _channels(tuple(blocks))
        return tuple(blocks)

    def _block(self, name: str, channels: int) -> Block:
        first = self._normed(f"{name}.conv.0", f"{name}.conv.1", channels)
        out = first.weight.shape[0]
        return Block(
            first,
            self._normed(f"{name}.conv.3", f"{name}.conv.4", out),
            self._convolution(f"{name}.shortcut", channels, out, kernel=1)
            if f"{name}.shortcut.weight" in self._table
            else None,
        )

    def _rise(self, name: str, channels: int) -> Rise:
        weight = self._table.take(f"{name}.conv1.0.weight", channels, None, 3, 3)
        out = weight.shape[1]
        scale, shift = self._norm(f"{name}.conv1.1", out)
        upsampling = self._placed(weight * scale[:, None, None], shift)
        return Rise(upsampling, self._blocks(f"{name}.conv2", 2 * out))

    def _normed(self, name: str, norm: str, channels: int) -> Convolution:
        weight = self._table.take(f"{name}.weight", None, channels, 3, 3)
        scale, shift = self._norm(norm, weight.shape[0])
        return self._placed(weight * scale[:, None, None, None], shift)

    def _convolution(self, name: str, channels: int, out: int, kernel: int = 3) -> Convolution:
        return self._placed(
            self._table.take(f"{name}.weight", out, channels, kernel, kernel),
            self._table.take(f"{name}.bias", out),
        )

    def _placed(self, weight: Tensor, bias: Tensor) -> Convolution:
        placed = weight.to(self._dtype).contiguous(memory_format=torch.channels_last)
        return Convolution(placed, bias.to(self._dtype))

    def _norm(self, name: str, channels: int) -> tuple[Tensor, Tensor]:
        """Return what a batch norm multiplies by and what it adds, each [channels] float64."""
        weight, bias, mean, variance = (
            self._table.take(f"{name}.{part}", channels, dtype=torch.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight * (variance + _EPSILON).rsqrt()
        return scale, bias - mean * scale

    def _recurrence(self) -> nn.GRU:
        layers = 0
        while f"fc.0.gru.weight_ih_l{layers}" in self._table:
            layers += 1
        recurrence = nn.GRU(
            _OUT_CHANNELS * BANDS, _HIDDEN, num_layers=max(layers, 1), batch_first=True,
            bidirectional=True, device="meta", dtype=self._dtype,
        )  # fmt: skip
        state = {
            name: self._table.take(f"fc.0.gru.{name}", *tensor.shape, dtype=self._dtype)
            for name, tensor in recurrence.state_dict().items()
        }
        recurrence.load_state_dict(state, assign=True)
        recurrence.requires_grad_(False)
        recurrence.flatten_parameters()
        return recurrence.eval()


def _channels(blocks: tuple[Block, ...]) -> int:
    return blocks[-1].second.weight.shape[0] if blocks else 0
