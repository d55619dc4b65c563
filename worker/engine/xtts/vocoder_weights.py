"""The tensors of the vocoder, weight norm folded in, and its fixed geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ..tensors import TensorTable
from .config import XttsConfig

#: How much longer each stage makes its input. Tensors do not tell; all XTTS-v2 files have these.
STRIDES: Final = (8, 8, 2, 2)

#: Kernel sizes of the transposed convolutions and of the residual blocks.
UPSAMPLING_KERNELS: Final = (16, 16, 4, 4)
BLOCK_KERNELS: Final = (3, 7, 11)

#: Dilations within each residual block.
DILATIONS: Final = (1, 3, 5)

#: Width of the convolutions at both ends.
END_KERNEL: Final = 7

_PREFIX: Final = "hifigan_decoder.waveform_decoder"

#: What a voice adds in each stage.
_CONDITIONS: Final = tuple(f"conds.{index}" for index in range(len(STRIDES)))


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution over time. Transposed ones have [in, out, kernel]."""

    weight: Tensor  # [out, in, kernel] float32
    bias: Tensor  # [out] float32


#: One residual block: for each dilation a dilated and a plain convolution.
Block = tuple[tuple[Convolution, Convolution], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One upsampling, and the residual blocks whose mean follows it."""

    upsampling: Convolution
    #: One for each kernel size.
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class VocoderWeights:
    """The whole vocoder, from latents to samples.

    All that depends on the voice alone is one linear map of its embedding: first what is added
    before the stages, then what is added in each of them.
    """

    first: Convolution
    stages: tuple[Stage, ...]
    last: Tensor  # [1, in, kernel] float32
    condition_weight: Tensor  # [sum of channels, E] float32
    condition_bias: Tensor  # [sum of channels] float32
    #: Frames of one latent, and how frames are stretched for the sample rate of the output.
    frames_per_latent: float
    stretch: float
    sample_rate_hz: int

    @property
    def width(self) -> int:
        """Channels of a latent."""
        return self.first.weight.shape[1]

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels before the stages and after each of them."""
        return (
            self.first.weight.shape[0],
            *(stage.upsampling.weight.shape[1] for stage in self.stages),
        )


def read_vocoder(table: TensorTable, config: XttsConfig, width: int) -> VocoderWeights:
    """Take the vocoder's tensors for latents of `width`. Raises `CheckpointError`."""
    sizes = config.model_args
    first = _convolution(table, "conv_pre", None, width, END_KERNEL)
    channels = [first.weight.shape[0]]
    stages: list[Stage] = []
    for index in range(len(STRIDES)):
        stages.append(_stage(table, index, channels[-1]))
        channels.append(stages[-1].upsampling.weight.shape[1])
    last = table.take_convolution(f"{_PREFIX}.conv_post", 1, channels[-1], END_KERNEL)
    conditions = [
        _convolution(table, name, size, sizes.d_vector_dim, 1)
        for name, size in zip(["cond_layer", *_CONDITIONS], channels, strict=True)
    ]
    return VocoderWeights(
        first=first,
        stages=tuple(stages),
        last=last,
        condition_weight=torch.cat([condition.weight for condition in conditions])[:, :, 0],
        condition_bias=torch.cat([condition.bias for condition in conditions]),
        frames_per_latent=sizes.gpt_code_stride_len / sizes.output_hop_length,
        stretch=sizes.output_sample_rate / sizes.input_sample_rate,
        sample_rate_hz=sizes.output_sample_rate,
    )


def _stage(table: TensorTable, index: int, channels: int) -> Stage:
    name = f"{_PREFIX}.ups.{index}"
    weight = table.take_convolution(name, channels, None, UPSAMPLING_KERNELS[index])
    upsampling = Convolution(weight, table.take(f"{name}.bias", weight.shape[1]))
    blocks = tuple(
        _block(table, index * len(BLOCK_KERNELS) + place, weight.shape[1], kernel)
        for place, kernel in enumerate(BLOCK_KERNELS)
    )
    return Stage(upsampling, blocks)


def _block(table: TensorTable, index: int, channels: int, kernel: int) -> Block:
    return tuple(
        (
            _convolution(table, f"resblocks.{index}.convs1.{place}", channels, channels, kernel),
            _convolution(table, f"resblocks.{index}.convs2.{place}", channels, channels, kernel),
        )
        for place in range(len(DILATIONS))
    )


def _convolution(
    table: TensorTable, name: str, out: int | None, into: int, kernel: int
) -> Convolution:
    weight = table.take_convolution(f"{_PREFIX}.{name}", out, into, kernel)
    return Convolution(weight, table.take(f"{_PREFIX}.{name}.bias", weight.shape[0]))
