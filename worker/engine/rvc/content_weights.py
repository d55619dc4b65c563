"""The tensors of the content encoder, HuBERT, laid out as they are computed with.

`C` are the channels of the front end (512 in the published model), `D` the width of the
transformer (768).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Tensor

#: Kernel sizes of the front end. Tensors do not tell its strides: 5, then 2 in each.
KERNELS: Final = (10, 3, 3, 3, 3, 2, 2)

#: Rows of `ContentWeights.first`: its ten taps, and zeros so that rows are aligned in memory.
FIRST_TAPS: Final = 16


@dataclass(frozen=True, slots=True)
class ContentLayer:
    """One transformer layer: x = ln1(x + attention(x)); x = ln2(x + out(gelu(into(x))))."""

    qkv_weight: Tensor  # [3 D, D]: queries, keys, values
    qkv_bias: Tensor  # [3 D]
    proj_weight: Tensor  # [D, D]
    proj_bias: Tensor  # [D]
    ln1_weight: Tensor  # [D]
    ln1_bias: Tensor  # [D]
    into_weight: Tensor  # [F, D]
    into_bias: Tensor  # [F]
    out_weight: Tensor  # [D, F]
    out_bias: Tensor  # [D]
    ln2_weight: Tensor  # [D]
    ln2_bias: Tensor  # [D]


@dataclass(frozen=True, slots=True)
class ContentWeights:
    """The whole encoder, from samples at 16 kHz to what a voice is driven by."""

    first: Tensor  # [FIRST_TAPS, C] float32
    first_norm_weight: Tensor  # [C] float32
    first_norm_bias: Tensor  # [C] float32
    #: The convolutions that follow, as matrices: [taps C, C], taps outermost.
    convolutions: tuple[Tensor, ...]
    features_norm_weight: Tensor  # [C]
    features_norm_bias: Tensor  # [C]
    features_weight: Tensor  # [D, C]
    features_bias: Tensor  # [D]
    #: The convolution over time that tells positions; even kernels lose their last frame.
    position_weight: Tensor  # [D, D / groups, kernel]
    position_bias: Tensor  # [D]
    norm_weight: Tensor  # [D]
    norm_bias: Tensor  # [D]
    layers: tuple[ContentLayer, ...]
    #: What makes the features of a v1 voice out of the ninth layer.
    final_weight: Tensor  # [256, D]
    final_bias: Tensor  # [256]
    heads: int

    @property
    def width(self) -> int:
        """D: the features of a v2 voice."""
        return self.norm_weight.shape[0]

    @property
    def final_width(self) -> int:
        """The features of a v1 voice: 256."""
        return self.final_weight.shape[0]
