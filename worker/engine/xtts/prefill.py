"""Prompts into the cache: each voice once, and the texts of many rows in one pass.

A voice stands in front of every text that it speaks, at the same positions and with nothing
before it. So its keys and values are computed once and copied from then on, and only texts are
run through the GPT. On a GPU they lie end to end in passes of one fixed length: what becomes of
a text does not depend on what else is in its pass.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Final

import torch
from torch import Tensor

from . import transformer
from .attention import attend_spans
from .graphs import Graphs
from .prompt import PROMPT_BLOCK, Prompt, Span, packed
from .transformer import AddNorm
from .weights import CONDITIONING, GptWeights

#: Tokens of a pass on a GPU: enough to keep it busy, and more than the longest text.
_PASS_TOKENS: Final = 512

#: Voices that are kept: 4 MB each in half precision and the published shapes.
_VOICES: Final = 64


class Prefill:
    """Runs prompts into `cache` [layers, 2, slots, heads, positions, head_dim].

    The last slot of the cache is for what nobody reads.
    """

    def __init__(
        self,
        weights: GptWeights,
        cache: Tensor,
        recorder: Graphs,
        add_norm: AddNorm,
        triton: bool,
    ) -> None:
        """With `triton`, passes are packed and recorded."""
        self._weights = weights
        self._cache = cache
        self._add_norm = add_norm
        self._spare_slot = cache.shape[2] - 1
        self._capacity = self._fixed_tokens() if weights.device.type == "cuda" else None
        self._voices: OrderedDict[int, tuple[Tensor, Tensor]] = OrderedDict()
        self._triton = triton
        if triton:
            self._record(recorder)

    def fill(self, prompts: Sequence[Prompt]) -> None:
        """Write the keys and values of checked prompts into the cache, each in its slot."""
        for prompt in prompts:
            prefix = self._prefix(prompt.conditioning)
            self._cache[:, :, prompt.slot, :, :CONDITIONING] = prefix
        if self._capacity is None:
            # A processor gains nothing from more than one at a time.
            for prompt in prompts:
                self._pass([prompt], prompt.text_width)
            return
        for indices in packed([prompt.text_width for prompt in prompts], self._capacity):
            self._pass([prompts[index] for index in indices], self._capacity)

    def _fixed_tokens(self) -> int:
        longest = len(self._weights.text_positions)
        return max(_PASS_TOKENS, -(-longest // PROMPT_BLOCK) * PROMPT_BLOCK)

    def _record(self, recorder: Graphs) -> None:
        weights, tokens = self._weights, self._capacity or 0
        # [tokens, D] float32; [(slot, position), tokens], each contiguous, as the kernel wants it.
        self._x = torch.zeros(tokens, weights.width, device=weights.device)
        self._places = torch.zeros(2, tokens, dtype=torch.int64, device=weights.device)
        self._places[0] = self._spare_slot
        self._recorded = {
            length: recorder.record(partial(self._attended, length))
            for length in (tokens, CONDITIONING)
        }

    def _attended(self, tokens: int) -> None:
        from .kernels import attend_prompts

        slots, positions = self._places[:, :tokens]

        def attend(qkv: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            return attend_prompts(qkv, keys, values, slots, positions)

        x = self._x[:tokens].clone()
        transformer.prefill(self._weights, self._cache, x, slots, positions, attend, self._add_norm)

    def _prefix(self, conditioning: Tensor) -> Tensor:
        """Return the keys and values of a voice, [layers, 2, heads, 32, head_dim]."""
        key = id(conditioning)
        if key not in self._voices:
            if len(self._voices) == _VOICES:
                self._voices.popitem(last=False)
            span = Span(self._spare_slot, 0, 0, CONDITIONING)
            self._run(conditioning, [span], CONDITIONING)
            prefix = self._cache[:, :, self._spare_slot, :, :CONDITIONING].clone()
            # The tensor is kept with it: as long as it lives, nothing else has its id.
            self._voices[key] = conditioning, prefix
        self._voices.move_to_end(key)
        return self._voices[key][1]

    def _pass(self, prompts: Sequence[Prompt], tokens: int) -> None:
        """Run the texts of prompts that fit into `tokens` together."""
        weights = self._weights
        spans, start = [], 0
        ids, places = [0] * tokens, [0] * tokens
        for prompt in prompts:
            framed = [weights.start_text_id, *prompt.text_ids, weights.stop_text_id]
            spans.append(Span(prompt.slot, start, CONDITIONING, len(framed)))
            ids[start : start + len(framed)] = framed
            places[start : start + len(framed)] = range(len(framed))
            start += -(-len(framed) // PROMPT_BLOCK) * PROMPT_BLOCK
        known = placed(torch.tensor([ids, places]), weights.device)
        text = weights.text_embedding[known[0]] + weights.text_positions[known[1]]
        self._run(text, spans, tokens)

    def _run(self, x: Tensor, spans: Sequence[Span], tokens: int) -> None:
        """Run `x` [tokens, D], of which `spans` tell the tokens that count."""
        places = placed(_places(spans, tokens, self._spare_slot), self._weights.device)
        if self._triton:
            self._x[:tokens].copy_(x)
            self._places[:, :tokens].copy_(places)
            self._recorded[tokens]()
            return
        slots, positions = places
        transformer.prefill(
            *(self._weights, self._cache, x.clone(), slots, positions),
            *(attend_spans(spans), self._add_norm),
        )


def placed(values: Tensor, device: torch.device) -> Tensor:
    """Return `values` of the host on `device`, without waiting for what the device is doing."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)


def _places(spans: Sequence[Span], tokens: int, spare_slot: int) -> Tensor:
    """Return the slot and position of each token, [2, tokens]; what no span has goes nowhere.

    A kernel's last block of a span reads on from its first token, so the positions go on.
    """
    slots, positions = [spare_slot] * tokens, [0] * tokens
    for span in spans:
        own = slice(span.start, span.start + span.length)
        slots[own] = [span.slot] * span.length
        positions[own] = range(span.position, span.position + span.length)
    return torch.tensor([slots, positions])
