"""Rows come, decode together, end and go; what a row becomes is its own affair alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.unit.worker.engine.xtts.random_gpt import random_gpt
from worker.engine.xtts.attention import attend_live, attend_within
from worker.engine.xtts.decoder import Decoder
from worker.engine.xtts.prompt import Prompt
from worker.engine.xtts.sampling import Sampling
from worker.engine.xtts.weights import CONDITIONING, GptWeights

#: Ids and latents of one row.
Take = tuple[list[int], Tensor]

SLOTS = 4


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors are slower on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights() -> GptWeights:
    """A small GPT that ends some rows early."""
    return small_gpt()


@cache
def small_gpt() -> GptWeights:
    """The same, for tests whose arguments are printed."""
    return random_gpt()


def prompt_of(number: int, weights: GptWeights, slot: int = 0) -> Prompt:
    """One of endlessly many different prompts: text, voice, parameters, cap."""
    generator = torch.Generator().manual_seed(number)
    length = (3, 61 - number % 7, 17, 1, 40)[number % 5] % (weights.max_text_ids + 1)
    return Prompt(
        slot=slot,
        text_ids=torch.randint(weights.text_ids, (length,), generator=generator).tolist(),
        conditioning=torch.randn(CONDITIONING, weights.width, generator=generator),
        sampling=Sampling(
            temperature=0.5 + number % 3,
            top_k=(0, 5, 50)[number % 3],
            top_p=(0.85, 1.0)[number % 2],
            repetition_penalty=(1.0, 5.0, 10.0)[number % 3],
            seed=number,
            greedy=number % 4 == 3,
        ),
        max_codes=(None, 9, 1, None)[number % 4],
    )


def finished(decoder: Decoder, slots: Sequence[int], burst: int = 3) -> dict[int, Take]:
    """Burst until `slots` have ended, and what became of them."""
    waiting, takes = set(slots), {}
    while waiting:
        decoder.burst(burst)
        for slot in decoder.poll():
            waiting.discard(slot)
            takes[slot] = take_of(decoder, slot)
    return takes


def take_of(decoder: Decoder, slot: int) -> Take:
    """What an ended row has left."""
    return decoder.codes(slot).tolist(), decoder.latents(slot).clone()


def alone(weights: GptWeights, number: int, *, invariant: bool) -> Take:
    """What a prompt becomes in slot 0 of a fresh decoder."""
    decoder = Decoder(weights, SLOTS, invariant=invariant)
    decoder.prefill([prompt_of(number, weights)])
    return finished(decoder, [0])[0]


@cache
def lone_takes(*, invariant: bool) -> list[Take]:
    """What eight prompts become alone."""
    return [alone(small_gpt(), number, invariant=invariant) for number in range(8)]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(8)), st.integers(1, 5), st.booleans(), st.data())
def test_a_row_is_the_same_alone_and_while_others_join_and_leave(
    numbers: list[int], burst: int, invariant: bool, data: st.DataObject
) -> None:
    # Given a decoder in which rows take the lowest free slot, and some are cancelled
    weights = small_gpt()
    decoder = Decoder(weights, SLOTS, invariant=invariant)
    waiting, running = list(numbers), {}

    while waiting or running:
        free = [slot for slot in range(SLOTS) if slot not in running]
        joining = free[: data.draw(st.integers(0 if running else 1, SLOTS))][: len(waiting)]
        running |= {slot: waiting.pop() for slot in joining}
        decoder.prefill([prompt_of(running[slot], weights, slot) for slot in joining])
        if len(running) > 1 and data.draw(st.integers(0, 9)) == 0:
            slot = data.draw(st.sampled_from(sorted(running)))
            decoder.release([slot])
            del running[slot]
        decoder.burst(burst)

        for slot in decoder.poll():
            # Then who ends has drawn the ids, and left the latents, that it does alone
            codes, latents = take_of(decoder, slot)
            expected_codes, expected_latents = lone_takes(invariant=invariant)[running.pop(slot)]
            assert codes == expected_codes
            is_full = len(codes) == weights.max_codes
            assert decoder.is_capped(slot) == (is_full and codes[-1] != weights.stop_mel_id)
            if invariant:
                assert torch.equal(latents, expected_latents)
            else:
                assert torch.allclose(latents, expected_latents, atol=1e-5)


def test_the_prompts_of_these_tests_end_in_every_way(
    weights: GptWeights,
) -> None:
    takes = [codes for codes, _ in lone_takes(invariant=True)]

    assert any(codes[-1] == weights.stop_mel_id for codes in takes)
    assert any(len(codes) == weights.max_codes for codes in takes)
    assert any(len(codes) == 1 for codes in takes)
    assert len({len(codes) for codes in takes}) > 3


def test_the_same_prompt_in_every_slot_gives_the_same_bits(weights: GptWeights) -> None:
    decoder = Decoder(weights, SLOTS)
    decoder.prefill([prompt_of(5, weights, slot) for slot in range(SLOTS)])

    takes = finished(decoder, range(SLOTS))

    for codes, latents in takes.values():
        assert codes == takes[0][0]
        assert torch.equal(latents, takes[0][1])


def test_a_burst_longer_than_a_row_leaves_its_result_alone(weights: GptWeights) -> None:
    short, long = (Decoder(weights, SLOTS) for _ in range(2))
    for decoder in (short, long):
        decoder.prefill([prompt_of(number, weights, number) for number in range(SLOTS)])

    by_one = finished(short, range(SLOTS), burst=1)
    at_once = finished(long, range(SLOTS), burst=100)

    for slot in range(SLOTS):
        assert at_once[slot][0] == by_one[slot][0]
        assert torch.equal(at_once[slot][1], by_one[slot][1])


def test_poll_may_stay_one_burst_behind_and_never_tells_of_a_slot_s_past(
    weights: GptWeights,
) -> None:
    # Given a row of one id that has ended in the first of two bursts
    decoder = Decoder(weights, SLOTS)
    decoder.prefill([replace(prompt_of(0, weights), max_codes=1)])
    decoder.burst(2)
    assert decoder.poll(in_flight=1) == {}
    decoder.burst(2)
    assert decoder.poll(in_flight=1) == {0: 1}

    # When another row takes its slot before the second burst is read
    decoder.prefill([replace(prompt_of(0, weights), max_codes=24)])

    # Then the reading of that burst is not taken for the new row's end
    assert decoder.poll() == {}
    decoder.burst(24)
    assert list(decoder.poll()) == [0]


def test_a_released_row_is_never_told_of_and_its_slot_is_free(weights: GptWeights) -> None:
    decoder = Decoder(weights, SLOTS)
    decoder.prefill([prompt_of(2, weights)])
    decoder.burst(1)
    decoder.release([0, 1])

    assert decoder.poll() == {}
    decoder.prefill([prompt_of(3, weights)])
    assert finished(decoder, [0])[0][0] == alone(weights, 3, invariant=True)[0]


def test_a_burst_without_rows_does_nothing(weights: GptWeights) -> None:
    decoder = Decoder(weights, SLOTS)

    decoder.burst(3)

    assert decoder.poll() == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text_ids": [1] * 61}, "60 is the most"),
        ({"text_ids": [1, 256]}, "text id 256"),
        ({"text_ids": [-1]}, "text id -1"),
        ({"conditioning": torch.zeros(32, 32)}, r"\(32, 64\)"),
        ({"max_codes": 25}, "max_codes"),
        ({"max_codes": 0}, "max_codes"),
        ({"slot": SLOTS}, "slot 4"),
        ({"slot": -1}, "slot -1"),
    ],
)
def test_what_would_index_past_a_table_is_refused_and_harms_nobody(
    weights: GptWeights, change: dict[str, object], said: str
) -> None:
    decoder = Decoder(weights, SLOTS)
    good, bad = prompt_of(2, weights, 1), replace(prompt_of(1, weights), **change)

    with pytest.raises(ValueError, match=said):
        decoder.prefill([good, bad])

    decoder.prefill([good])
    assert finished(decoder, [1])[1][0] == alone(weights, 2, invariant=True)[0]


def test_a_busy_slot_is_refused(weights: GptWeights) -> None:
    decoder = Decoder(weights, SLOTS)
    decoder.prefill([prompt_of(2, weights, 1)])

    with pytest.raises(ValueError, match="slot 1"):
        decoder.prefill([prompt_of(0, weights, 1)])
    with pytest.raises(ValueError, match="twice"):
        decoder.prefill([prompt_of(0, weights, 2), prompt_of(1, weights, 2)])


@given(st.lists(st.integers(0, 47), min_size=1, max_size=6), st.integers(48, 64))
@settings(max_examples=30, deadline=None)
def test_both_ways_of_torch_attend_alike_and_write_the_same(
    positions: list[int], window: int
) -> None:
    rows, heads, head_dim = len(positions), 3, 8
    generator = torch.Generator().manual_seed(sum(positions))
    qkv = torch.randn(rows, 3 * heads * head_dim, generator=generator)
    cache = torch.randn(2, rows + 1, heads, 64, head_dim, generator=generator)
    theirs, ours = cache.clone(), cache.clone()

    expected = attend_within(window)(qkv, *theirs, torch.tensor(positions))
    found = attend_live(qkv, *ours, torch.tensor(positions))

    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(ours, theirs)
    assert (ours != cache).any(-1).sum() == rows * heads * 2


def test_half_precision_stays_close_to_single(weights: GptWeights) -> None:
    # Given the same rows in both, their ids forced to agree by a cap of one
    half = random_gpt(dtype=torch.bfloat16)
    takes = []
    for one in (weights, half):
        decoder = Decoder(one, SLOTS)
        decoder.prefill(
            [replace(prompt_of(number, one, number), max_codes=1) for number in range(SLOTS)]
        )
        takes.append(finished(decoder, range(SLOTS)))

    for slot in range(SLOTS):
        assert (takes[0][slot][1] - takes[1][slot][1]).abs().max() < 0.1


def test_a_voice_that_is_known_gives_the_same_bits_as_a_new_one(weights: GptWeights) -> None:
    first, again = prompt_of(5, weights), prompt_of(5, weights)
    decoder = Decoder(weights, SLOTS)
    takes = []
    # The same tensor twice, then one with the same values that the decoder has never seen.
    for prompt in (first, first, again):
        decoder.prefill([prompt])
        takes.append(finished(decoder, [0])[0])

    for codes, latents in takes[1:]:
        assert codes == takes[0][0]
        assert torch.equal(latents, takes[0][1])


def test_more_voices_than_are_kept_are_spoken_all_the_same(
    weights: GptWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine.xtts.prefill._VOICES", 2)
    decoder = Decoder(weights, SLOTS)
    prompts = [prompt_of(number, weights) for number in (0, 1, 2, 0, 1, 2)]

    for number, prompt in zip((0, 1, 2, 0, 1, 2), prompts, strict=True):
        decoder.prefill([prompt])
        assert finished(decoder, [0])[0][0] == lone_takes(invariant=True)[number][0]
