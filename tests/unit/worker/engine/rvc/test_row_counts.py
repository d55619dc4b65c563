"""Batches of windows have sizes that are good on a GPU, and hold every window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.rvc.row_counts import GOOD_FROM, GOOD_TO, portions

WIDTH = 512


@given(st.integers(1, 300), st.sampled_from([320, 400, 480]), st.integers(1, 16))
def test_no_batch_is_of_a_size_that_is_slow(count, per_frame, most):
    batches = portions(count, WIDTH * per_frame, most)

    for rows in batches:
        positions = rows * WIDTH * per_frame
        assert positions <= GOOD_TO or positions >= GOOD_FROM
    assert sum(batches) >= count
    assert sum(batches[:-1]) < count


@pytest.mark.parametrize(
    ("count", "batches"),
    [(1, (1,)), (2, (2,)), (3, (2, 1)), (4, (2, 2)), (5, (6,)), (7, (7,)), (9, (8, 1))],
)
def test_a_batch_is_filled_up_where_that_is_cheaper(count, batches):
    assert portions(count, WIDTH * 400, 8) == batches
