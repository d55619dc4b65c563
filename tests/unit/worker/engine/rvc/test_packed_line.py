"""Pieces share lines of few widths: each is there once, and none touches another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.rvc.filled_sizes import all_filled, filled
from worker.engine.rvc.packed_line import Line, lines_of

pieces = st.lists(st.integers(1, 3000), min_size=1, max_size=20)


@given(st.integers(1, 10**6), st.sampled_from([1, 32]))
def test_little_is_filled_up(size, unit):
    found = filled(size, unit)

    assert found >= size and found % unit == 0
    assert found - size < max(unit, found / 3)


def test_there_are_few_sizes():
    assert all_filled(512) == [
        *(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
    ]


@given(pieces, st.booleans())
def test_between_two_pieces_there_is_a_frame_at_every_level(frames, few_widths):
    line = Line.of(frames, 32, few_widths=few_widths)

    ends = [span.stop for span in line.spans]
    starts = [span.start for span in line.spans]
    assert all(start - end == 32 for end, start in zip(ends, starts[1:], strict=False))
    assert all(start % 32 == 0 for start in starts)
    assert ends[-1] <= line.width
    assert line.inside().sum() == sum(ends) - sum(starts)
    assert line.heard().sum() == sum(frames)
    assert (line.heard() <= line.inside()).all()


@given(pieces, st.integers(32, 8000))
def test_every_piece_is_in_one_line_that_is_not_too_wide(frames, most):
    lines = lines_of(frames, 32, most)

    assert sorted(place for line in lines for place in line) == list(range(len(frames)))
    for line in lines:
        width = Line.of([frames[place] for place in line], 32, few_widths=False).width
        assert width <= most or len(line) == 1
