"""Windows hold all that is wanted, with its surroundings, in few shapes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.rvc.windows import Span, windows_of

HALO = 11
WIDTH = 128


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Part of an utterance, near its ends or far from them."""
    frames = draw(st.integers(1, 700))
    keep_from = draw(st.integers(0, frames - 1))
    return Span(frames, keep_from, draw(st.integers(keep_from + 1, frames)))


@given(st.lists(spans(), max_size=6), st.sampled_from([32, WIDTH]))
def test_all_that_is_wanted_is_kept_once_with_all_that_it_hears(given_spans, grain):
    wanted = dict(enumerate(given_spans))

    windows = list(windows_of(wanted, halo=HALO, width=WIDTH, grain=grain))

    kept: dict[int, list[tuple[int, int]]] = {number: [] for number in wanted}
    for window in windows:
        end = 0
        for part in window.segments:
            span = wanted[part.utterance]
            kept[part.utterance].append((part.keep_from, part.keep_to))
            assert part.place == end
            end = part.place + part.width
            assert part.start in (0, part.keep_from - HALO) or part.width == window.width
            # What is missing of a halo is missing because the utterance ends, and the window too.
            if part.keep_from - part.start < HALO:
                assert part.start == part.place == 0
            if part.start + part.width - part.keep_to < HALO:
                assert part.start + part.width == span.frames and end == window.width
        assert 0 < end <= window.width
    for number, span in wanted.items():
        parts = kept[number]
        assert [first for first, _ in parts] == [span.keep_from, *(last for _, last in parts[:-1])]
        assert parts[-1][1] == span.keep_to


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_inner_parts_fill_windows_of_few_widths(lengths):
    wanted = {place: Span(length + 200, 100, 100 + length) for place, length in enumerate(lengths)}

    windows = list(windows_of(wanted, halo=HALO, width=WIDTH, grain=32))

    assert all(window.width == WIDTH for window in windows[:-1])
    assert windows[-1].width % 32 == 0
    # A window stays empty by less than it would cost to cut once more.
    for window in windows[:-1]:
        assert WIDTH - sum(part.width for part in window.segments) < 4 * HALO
