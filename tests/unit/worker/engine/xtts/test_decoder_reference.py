"""The decoder against coqui-tts itself: the same ids, and latents within rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from torch import Tensor

from tests.unit.worker.engine.xtts.coqui_rows import spoken_by_coqui
from worker.engine.xtts.checkpoint import XttsCheckpoint
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import Sampling
from worker.engine.xtts.weights import GptWeights

#: The latents are of scale 3.
TOLERANCE = 1e-5

#: Ids of the texts, up to the longest that the model takes.
LENGTHS = (3, 11, 47, 100, 233, 400, 401, 5)


class ReplayedNoise:
    """The noise that `torch.multinomial` would take from each row's own generator."""

    def __init__(self, seeds: Sequence[int], max_codes: int) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._max_codes = max_codes

    def __call__(self, seeds: Tensor, steps: Tensor, ids: int) -> Tensor:
        noise = torch.ones(len(steps), ids)
        for row, step in enumerate(steps.tolist()):
            if step < self._max_codes:
                noise[row].exponential_(1, generator=self._generators[row])
        return noise


@pytest.fixture
def prompts(checkpoint: XttsCheckpoint) -> list[Prompt]:
    """Texts of all lengths, spoken by two voices in turns."""
    generator = torch.Generator().manual_seed(9)
    voices = [speaker.latents for speaker in checkpoint.speakers.values()]
    assert len(voices) == 2
    return [
        Prompt(
            slot=slot,
            text_ids=torch.randint(
                checkpoint.gpt.text_ids, (length,), generator=generator
            ).tolist(),
            conditioning=voices[slot % 2],
        )
        for slot, length in enumerate(LENGTHS)
    ]


def spoken_by_us(decoder: Decoder, prompts: Sequence[Prompt]) -> list[tuple[Tensor, Tensor]]:
    """The ids and latents of rows that are decoded together."""
    decoder.prefill(prompts)
    ended: dict[int, int] = {}
    while len(ended) < len(prompts):
        decoder.burst(5)
        ended |= decoder.poll()
    return [(decoder.codes(p.slot), decoder.latents(p.slot)) for p in prompts]


def assert_equal(
    found: Sequence[tuple[Tensor, Tensor]], expected: Sequence[tuple[Tensor, Tensor]]
) -> None:
    """Check that all ids are equal and all latents within `TOLERANCE`."""
    for (codes, latents), (their_codes, their_latents) in zip(found, expected, strict=True):
        assert codes.tolist() == their_codes.tolist()
        assert latents.shape == their_latents.shape
        assert (latents - their_latents).abs().max() <= TOLERANCE


def is_stopped(codes: Tensor, weights: GptWeights) -> bool:
    """Whether a row has drawn the stop id."""
    return int(codes[-1]) == weights.stop_mel_id


@pytest.mark.parametrize("penalty", [1.0, 5.0, 10.0])
def test_greedy_rows_are_coqui_s_to_the_id(
    coqui: Any, checkpoint: XttsCheckpoint, prompts: list[Prompt], penalty: float
) -> None:
    greedy = Sampling(repetition_penalty=penalty, greedy=True)
    prompts = [replace(prompt, sampling=greedy) for prompt in prompts]

    found = spoken_by_us(Decoder(checkpoint.gpt, len(prompts)), prompts)

    assert_equal(found, [spoken_by_coqui(coqui, prompt) for prompt in prompts])


@pytest.mark.parametrize("mode", ["invariant", "latency"])
def test_drawn_rows_are_coqui_s_when_its_generator_is_replayed(
    coqui: Any, checkpoint: XttsCheckpoint, prompts: list[Prompt], mode: str
) -> None:
    # Given rows of all kinds of parameters, each with a seed of its own
    kinds = [
        Sampling(),
        Sampling(repetition_penalty=10.0, temperature=1.0),
        Sampling(top_k=0, top_p=1.0, temperature=1.3),
        Sampling(top_k=5, top_p=0.5),
    ]
    prompts = [
        replace(prompt, sampling=replace(kinds[prompt.slot % 4], seed=prompt.slot))
        for prompt in prompts
    ]
    expected = []
    for prompt in prompts:
        torch.manual_seed(prompt.sampling.seed)
        expected.append(spoken_by_coqui(coqui, prompt))

    noise = ReplayedNoise([p.sampling.seed for p in prompts], checkpoint.gpt.max_codes)
    decoder = Decoder(checkpoint.gpt, len(prompts), invariant=mode == "invariant", noise=noise)

    assert_equal(spoken_by_us(decoder, prompts), expected)
    assert len({tuple(codes.tolist()) for codes, _ in expected}) == len(prompts)


def test_rows_end_with_the_stop_id_or_at_the_cap_as_coqui_s_do(
    coqui: Any, checkpoint: XttsCheckpoint, prompts: list[Prompt]
) -> None:
    greedy = Sampling(repetition_penalty=5.0, greedy=True)
    prompts = [
        replace(prompt, sampling=greedy, max_codes=cap)
        for prompt, cap in zip(prompts, (None, 1, 2, 30, None, None, 9, None), strict=True)
    ]

    found = spoken_by_us(Decoder(checkpoint.gpt, len(prompts)), prompts)

    assert_equal(found, [spoken_by_coqui(coqui, prompt) for prompt in prompts])
    ends = {is_stopped(codes, checkpoint.gpt) for codes, _ in found}
    assert ends == {True, False}
    assert any(len(codes) == checkpoint.gpt.max_codes for codes, _ in found)
