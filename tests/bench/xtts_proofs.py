"""That the fast ways of the XTTS decoder are right, shown on the GPU that they are fast on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Final

import torch
from torch import Tensor

from tests.unit.worker.engine.xtts.random_gpt import random_gpt
from worker.engine.triton_support import has_triton
from worker.engine.xtts.attention import kernel_error
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import Sampling
from worker.engine.xtts.weights import GptWeights

from .xtts_rows import DTYPES, TRUE_SHAPES, moved_to, prompt_of, takes_of, true_gpt

#: How far the kernel may be from float64: some rounding steps of outputs of scale one.
_KERNEL_LIMITS: Final = {"fp32": 2e-6, "fp16": 2e-3, "bf16": 2e-2}

#: Latents of scale 3 in single precision, on two devices.
_LATENT_LIMIT: Final = 1e-4

#: Ids and latents of one row.
_Take = tuple[list[int], Tensor]


def kernel(device: torch.device) -> bool:
    """The Triton kernel at all lengths."""
    if not has_triton(device):
        print("   no Triton here: torch's own attention is used")
        return True
    errors = {name: kernel_error(device, dtype) for name, dtype in DTYPES.items()}
    for name, error in errors.items():
        print(f"   {name}: within {error:.2e}, the limit is {_KERNEL_LIMITS[name]:.0e}")
    return all(error <= _KERNEL_LIMITS[name] for name, error in errors.items())


def ways(device: torch.device) -> bool:
    """Greedy rows of four layers, with and without Triton and graphs, in both modes."""
    rows = 6
    weights = random_gpt(**{**TRUE_SHAPES, "layers": 4, "max_codes": 120, "text_ids": 500})
    prompts = [prompt_of(weights, slot, slot, greedy=True) for slot in range(rows)]
    expected = takes_of(Decoder(weights, rows), prompts)
    moved = moved_to(device, weights)
    prompts = [replace(prompt, conditioning=prompt.conditioning.to(device)) for prompt in prompts]
    good = True
    for triton, graphs, invariant in product((True, False), repeat=3):
        decoder = Decoder(moved, rows, invariant=invariant, triton=triton, graphs=graphs)
        found = takes_of(decoder, prompts)
        same = sum(ours[0] == theirs[0] for ours, theirs in zip(found, expected, strict=True))
        far = _distance(found, expected)
        print(
            f"   triton {triton!s:5} graphs {graphs!s:5} invariant {invariant!s:5}: "
            f"ids of {same} rows of {rows} equal, latents within {far:.1e}"
        )
        good = good and same == rows and far < _LATENT_LIMIT
    return good


def precision(device: torch.device) -> bool:
    """Latents of the same 200 ids in half precision, which draws the ids that it is made to."""
    exact = true_gpt(device, torch.float32)
    expected = _forced_takes(exact)
    good = True
    for name in ("fp16", "bf16"):
        found = _forced_takes(moved_to(device, exact, DTYPES[name]))
        same = all(ours[0] == theirs[0] for ours, theirs in zip(found, expected, strict=True))
        errors = [
            float((ours[1] - theirs[1]).norm() / theirs[1].norm())
            for ours, theirs in zip(found, expected, strict=True)
        ]
        print(
            f"   {name}: ids equal {same}; latents off by {sum(errors) / len(errors):.2e} of their "
            f"norm, {max(errors):.2e} in the worst row, and within {_distance(found, expected):.3f}"
        )
        good = good and same
    return good


def invariance(device: torch.device, dtype: torch.dtype) -> bool:
    """One row alone and among 63 others, in several slots: bit for bit the same."""
    weights = true_gpt(device, dtype)
    decoder = Decoder(weights, 64)
    alone = takes_of(decoder, [_watched(weights, 0)])[0]
    good = True
    for slot, company in product((0, 17, 63), (63, 5, 0)):
        others = [number for number in range(64) if number != slot][:company]
        prompts = [prompt_of(weights, other, other, codes=20 + other * 5) for other in others]
        codes, latents = takes_of(decoder, [*prompts, _watched(weights, slot)])[-1]
        ids, bits = codes == alone[0], torch.equal(latents, alone[1])
        print(f"   slot {slot:2}, {company:2} others: ids equal {ids}, bits equal {bits}")
        good = good and ids and bits
    return good


def _watched(weights: GptWeights, slot: int) -> Prompt:
    return prompt_of(weights, slot, 1000, codes=100)


def _distance(found: Sequence[_Take], expected: Sequence[_Take]) -> float:
    """The greatest difference of latents, as far as they have the same ids before them."""
    far = 0.0
    for (our_ids, ours), (their_ids, theirs) in zip(found, expected, strict=True):
        pairs = list(zip(our_ids, their_ids, strict=False))
        equal = next((at for at, (a, b) in enumerate(pairs) if a != b), len(pairs) - 1) + 1
        far = max(far, float((ours[:equal] - theirs[:equal]).abs().max()))
    return far


def _forced_takes(weights: GptWeights) -> list[_Take]:
    # Flat chances, so that no id is out of reach of the noise.
    flat = Sampling(temperature=1e4, top_k=0, top_p=1.0, repetition_penalty=1.0)
    prompts = [
        replace(prompt_of(weights, row, row, codes=200), sampling=replace(flat, seed=row))
        for row in range(8)
    ]
    # A stop id is as likely as any in flat chances, so the noise leaves it out.
    noise = partial(_forcing_noise, weights.start_mel_id)
    return takes_of(Decoder(weights, 8, noise=noise), prompts)


def _forcing_noise(below: int, seeds: Tensor, steps: Tensor, ids: int) -> Tensor:
    """Noise in which one id, which seed and step decide, beats any other."""
    noise = torch.ones(len(seeds), ids, device=seeds.device)
    winner = (seeds * 131 + steps * 17) % below
    return noise.scatter_(1, winner[:, None], 1e-20)
