"""Ids are drawn as the reference draws them, and a row's draw is its own affair."""

from __future__ import annotations

from dataclasses import replace

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.conftest import missing
from worker.engine.xtts.sampling import Sampling, SamplingRows, counter_noise, sample

#: As in a small model.
IDS = 66

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.2, 0.75, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 2, 10, 50, 65, 66, 1000]),
    top_p=st.sampled_from([0.0, 0.1, 0.5, 0.85, 0.999, 1.0]),
    repetition_penalty=st.sampled_from([0.5, 1.0, 5.0, 10.0]),
    seed=st.integers(-(2**63), 2**63 - 1),
    greedy=st.booleans(),
)


def logits_of(seed: int, rows: int, grid: float = 0.0) -> Tensor:
    """Random logits [rows, IDS]; on a `grid`, many of them are equal."""
    logits = 3 * torch.randn(rows, IDS, generator=torch.Generator().manual_seed(seed))
    return (logits / grid).round() * grid if grid else logits


def seen_of(seed: int, rows: int) -> Tensor:
    """A random third of all ids."""
    return torch.rand(rows, IDS, generator=torch.Generator().manual_seed(seed + 1)) < 0.3


def drawn(sampling: list[Sampling], logits: Tensor, seen: Tensor, steps: Tensor) -> list[int]:
    """What the rows draw with noise of their own."""
    return sample(logits, seen, SamplingRows.of(sampling, IDS), steps, counter_noise).tolist()


def reference_chances(sampling: Sampling, logits: Tensor, seen: Tensor) -> Tensor:
    """The probabilities of one row [1, IDS] by the processors that the reference runs."""
    try:
        from transformers.generation import logits_process as reference
    except ImportError:
        missing("transformers")
    ids = seen.nonzero()[:, 1][None]
    steps = [reference.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)]
    if sampling.temperature != 1.0:
        steps.append(reference.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        steps.append(reference.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(reference.TopPLogitsWarper(sampling.top_p))
    scores = logits
    for step in steps:
        scores = step(ids, scores)
    return scores.softmax(-1)


@settings(max_examples=150, deadline=None)
@given(samplings, st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 2.0]))
def test_with_its_noise_the_ids_are_those_of_multinomial_over_the_reference_s_chances(
    sampling: Sampling, seed: int, grid: float
) -> None:
    # Which one of equals top-p drops is left open by the reference.
    top_p = 1.0 if grid else sampling.top_p
    rows = [replace(sampling, greedy=False, top_p=top_p)] * 3
    logits, seen = logits_of(seed, 3, grid), seen_of(seed, 3)
    theirs, ours = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)

    expected = [
        int(torch.multinomial(reference_chances(row, *one), 1, generator=theirs))
        for row, one in zip(rows, zip(logits.split(1), seen.split(1), strict=True), strict=True)
    ]
    found = sample(
        logits,
        seen,
        SamplingRows.of(rows, IDS),
        torch.zeros(3, dtype=torch.int64),
        lambda *_: torch.cat([torch.empty(1, IDS).exponential_(1, generator=ours) for _ in rows]),
    )

    assert found.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(samplings, min_size=2, max_size=9), st.integers(0, 10_000), st.data())
def test_a_row_draws_the_same_alone_and_among_any_others(
    rows: list[Sampling], seed: int, data: st.DataObject
) -> None:
    logits, seen = logits_of(seed, len(rows)), seen_of(seed, len(rows))
    steps = torch.arange(len(rows)) * 7
    order = data.draw(st.permutations(range(len(rows))))

    alone = [
        drawn([rows[i]], logits[i : i + 1], seen[i : i + 1], steps[i : i + 1])[0] for i in order
    ]
    together = drawn([rows[i] for i in order], logits[order], seen[order], steps[order])

    assert together == alone


def test_a_greedy_row_takes_the_first_best_id_after_the_penalty() -> None:
    logits = torch.zeros(1, IDS)
    logits[0, :4] = torch.tensor([5.0, 8.0, -1.0, 5.0])
    seen = torch.zeros(1, IDS, dtype=torch.bool)
    seen[0, 1] = True

    greedy = Sampling(repetition_penalty=2.0, greedy=True, temperature=0.01)

    assert drawn([greedy], logits, seen, torch.tensor([0])) == [0]


def test_the_penalty_makes_a_negative_logit_smaller_too() -> None:
    logits = torch.full((1, IDS), -1.0)
    seen = torch.ones(1, IDS, dtype=torch.bool)
    seen[0, 7] = False

    greedy = Sampling(repetition_penalty=5.0, greedy=True)

    assert drawn([greedy], logits, seen, torch.tensor([0])) == [7]


def test_draws_follow_the_chances() -> None:
    # Given one row of logits, drawn at 20,000 steps
    count = 20_000
    logits = logits_of(3, 1).expand(count, -1)
    plain = Sampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, seed=5)
    rows = SamplingRows.of([plain], IDS).map(lambda values: values.expand(count))

    found = sample(
        logits, torch.zeros(1, IDS, dtype=torch.bool), rows, torch.arange(count), counter_noise
    )

    # Then every share is within five standard deviations of its chance
    chances = logits[0].softmax(-1)
    shares = torch.bincount(found, minlength=IDS) / count
    assert ((shares - chances).abs() <= 5 * (chances * (1 - chances) / count).sqrt() + 1e-4).all()


def test_noise_is_exponential_and_never_zero() -> None:
    noise = counter_noise(torch.arange(-50, 50), torch.arange(100), 1026)

    assert noise.min() > 0
    assert noise.isfinite().all()
    assert abs(noise.mean() - 1) < 0.02
    assert abs((noise < 0.5).float().mean() - 0.3935) < 0.01


def test_every_seed_step_and_id_has_noise_of_its_own() -> None:
    seeds = torch.tensor([1, 1, 2, 2])
    steps = torch.tensor([0, 1, 0, 1])

    noise = counter_noise(seeds, steps, 1026)

    # Of 4,104 draws out of 2**23, about one pair falls together by chance.
    assert noise.unique().numel() > 4 * 1026 - 10
    assert (noise[:, None] == noise[None]).sum() < 4 * 1026 + 20


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("repetition_penalty", -1.0),
        ("top_k", -1),
        ("top_p", 1.5),
        ("seed", 2**63),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Sampling(**{field: value})  # type: ignore[arg-type]
