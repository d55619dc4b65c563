"""The way of a GPU without Triton, with torch's own attention: what the others say, and no less."""

from __future__ import annotations

from dataclasses import replace

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from tests.unit.worker.engine.xtts.random_gpt import random_gpt
from worker.engine.triton_support import has_triton
from worker.engine.xtts.attention import attend_within
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import Sampling
from worker.engine.xtts.weights import CONDITIONING, GptWeights

SLOTS = 4

#: Positions that a step may look at in latency mode, besides all.
WINDOWS = (48, 80)


class PlainDecoder(Decoder):
    """Attends on a processor as it would on a GPU of capability 7.0."""

    def _choose_kernels(self, *, triton: bool, invariant: bool) -> None:
        super()._choose_kernels(triton=triton, invariant=invariant)
        positions = self._weights.positions
        self._attend = attend_within
        self._windows = (positions,) if invariant else (*WINDOWS, positions)


@pytest.fixture(scope="module")
def weights() -> GptWeights:
    return random_gpt()


@pytest.fixture(scope="module")
def prompts(weights: GptWeights) -> list[Prompt]:
    """Texts of many lengths; nothing is drawn by chance."""
    generator = torch.Generator().manual_seed(3)
    return [
        Prompt(
            slot=slot,
            text_ids=torch.randint(weights.text_ids, (length,), generator=generator).tolist(),
            conditioning=torch.randn(CONDITIONING, weights.width, generator=generator),
            sampling=Sampling(greedy=True),
        )
        for slot, length in enumerate((3, 60, 17, 1))
    ]


def decoded(decoder: Decoder, prompts: list[Prompt]) -> list[tuple[list[int], torch.Tensor]]:
    """The ids and latents of each prompt."""
    decoder.prefill(prompts)
    waiting = {prompt.slot for prompt in prompts}
    while waiting:
        decoder.burst(3)
        waiting -= decoder.poll().keys()
    return [
        (decoder.codes(prompt.slot).tolist(), decoder.latents(prompt.slot).clone())
        for prompt in prompts
    ]


@pytest.mark.parametrize("invariant", [True, False])
def test_rows_are_those_of_the_processors_own_way(weights, prompts, invariant):
    expected = decoded(Decoder(weights, SLOTS, invariant=invariant), prompts)

    found = decoded(PlainDecoder(weights, SLOTS, invariant=invariant), prompts)

    for (ids, latents), (own_ids, own_latents) in zip(found, expected, strict=True):
        assert ids == own_ids
        assert (latents - own_latents).abs().max() <= 1e-5


@pytest.mark.parametrize("half", [False, True])
def test_invariant_rows_have_the_same_bits_alone_and_together(prompts, half):
    weights = random_gpt(dtype=torch.float16) if half else random_gpt()

    together = decoded(PlainDecoder(weights, SLOTS), prompts)

    for prompt, (ids, latents) in zip(prompts, together, strict=True):
        ((lone_ids, lone_latents),) = decoded(
            PlainDecoder(weights, SLOTS), [replace(prompt, slot=0)]
        )
        assert ids == lone_ids
        assert torch.equal(latents, lone_latents)


@pytest.mark.parametrize("capability", [(7, 0), (7, 5)])
def test_triton_is_not_asked_of_a_gpu_that_is_too_old(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)

    assert not has_triton(torch.device("cuda"))
