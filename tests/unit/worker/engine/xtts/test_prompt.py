"""Texts share passes, and each lies where a kernel finds it."""

from __future__ import annotations

from itertools import pairwise

import pytest

# Where torch is missing, nothing below can be imported.
pytest.importorskip("torch")


from hypothesis import given
from hypothesis import strategies as st

from worker.engine.xtts.prompt import PROMPT_BLOCK, packed

CAPACITY = 512


def room_for(width: int) -> int:
    return -(-width // PROMPT_BLOCK) * PROMPT_BLOCK


@given(st.lists(st.integers(2, CAPACITY), max_size=60))
def test_every_text_is_in_one_pass_and_no_pass_is_too_full(widths):
    passes = packed(widths, CAPACITY)

    assert sorted(index for one in passes for index in one) == list(range(len(widths)))
    for one in passes:
        assert sum(room_for(widths[index]) for index in one) <= CAPACITY


@given(st.lists(st.integers(2, CAPACITY), min_size=2, max_size=60))
def test_no_two_passes_would_fit_into_one(widths):
    fills = [sum(room_for(widths[index]) for index in one) for one in packed(widths, CAPACITY)]

    assert all(one + other > CAPACITY for one, other in pairwise(fills))
