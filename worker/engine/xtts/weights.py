"""The tensors of the XTTS GPT, as the decoder wants them: plain, on one device, output-major.

`D` is the width, `Vt` the text ids, `Va` the audio ids. Every weight of a linear map is [out, in].
The linear maps of the layers may be in half precision: their dtype is the one that is computed
in. Everything else stays float32, as rounding there is heard and saves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

#: Positions of a voice, in front of the text: the perceiver's latents.
CONDITIONING: Final = 32

#: The cache's positions are a multiple of this, so that every row of it is aligned.
_ALIGNED: Final = 16

#: Rows of the audio position table that can never be generated: the start, and five more that
#: the reference keeps in reserve. 608 rows in the published model, 602 codes.
_RESERVED_POSITIONS: Final = 6

#: Rows of the text position table that `[START]` and `[STOP]` take.
_TEXT_FRAME: Final = 2


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One transformer layer: x += proj(attention(ln1 x)); x += fc_proj(gelu(fc(ln2 x)))."""

    ln1_weight: Tensor  # [D] float32
    ln1_bias: Tensor  # [D] float32
    qkv_weight: Tensor  # [3 D, D]: queries, keys, values
    qkv_bias: Tensor  # [3 D]
    proj_weight: Tensor  # [D, D]
    proj_bias: Tensor  # [D]
    ln2_weight: Tensor  # [D] float32
    ln2_bias: Tensor  # [D] float32
    fc_weight: Tensor  # [4 D, D]
    fc_bias: Tensor  # [4 D]
    fc_proj_weight: Tensor  # [D, 4 D]
    fc_proj_bias: Tensor  # [D]


@dataclass(frozen=True, slots=True)
class GptWeights:
    """The whole GPT, from ids to logits over the audio ids."""

    text_embedding: Tensor  # [Vt, D] float32
    text_positions: Tensor  # [text positions, D] float32
    mel_embedding: Tensor  # [Va, D] float32
    mel_positions: Tensor  # [audio positions, D] float32
    layers: tuple[LayerWeights, ...]
    ln_f_weight: Tensor  # [D] float32
    ln_f_bias: Tensor  # [D] float32
    final_norm_weight: Tensor  # [D] float32
    final_norm_bias: Tensor  # [D] float32
    mel_head_weight: Tensor  # [Va, D] float32
    mel_head_bias: Tensor  # [Va] float32
    heads: int
    start_text_id: int
    stop_text_id: int
    start_mel_id: int
    stop_mel_id: int

    @property
    def width(self) -> int:
        """D."""
        return self.mel_embedding.shape[1]

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def audio_ids(self) -> int:
        """Va."""
        return self.mel_embedding.shape[0]

    @property
    def text_ids(self) -> int:
        """Vt."""
        return self.text_embedding.shape[0]

    @property
    def max_codes(self) -> int:
        """How many ids one chunk may generate, the stop id among them: 602 when published."""
        return self.mel_positions.shape[0] - _RESERVED_POSITIONS

    @property
    def max_text_ids(self) -> int:
        """How many text ids one chunk may have, without `[START]` and `[STOP]`."""
        # The reference refuses a text that would fill its table: fewer than 402 of 404 rows.
        return self.text_positions.shape[0] - _TEXT_FRAME - 1

    @property
    def positions(self) -> int:
        """The longest sequence of voice, text and audio, rounded up: 1040 when published."""
        longest = CONDITIONING + self.text_positions.shape[0] + self.max_codes
        return -(-longest // _ALIGNED) * _ALIGNED

    @property
    def dtype(self) -> torch.dtype:
        """What the layers compute in."""
        return self.layers[0].qkv_weight.dtype

    @property
    def device(self) -> torch.device:
        """Where all of it lies."""
        return self.mel_embedding.device
