"""Windows cover an utterance, and see all around what is kept of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.engine.xtts.vocoder import FITTING_WIDTHS
from worker.engine.xtts.windows import HALO_FRAMES, alike, fitted, plan

utterances = st.integers(0, 4000)

#: The narrowest window that keeps anything is one frame wider than its two halos.
width_sets = st.sets(st.integers(2 * HALO_FRAMES + 1, 600), min_size=1, max_size=4).map(tuple)


@given(frames=utterances, widths=width_sets)
def test_every_frame_is_kept_exactly_once_and_in_order(frames, widths):
    windows = plan(frames, widths)

    kept = [frame for window in windows for frame in range(window.keep_from, window.keep_to)]

    assert kept == list(range(frames))


@given(frames=utterances, widths=width_sets)
def test_a_kept_frame_has_a_halo_or_the_true_end_on_both_sides(frames, widths):
    for window in plan(frames, widths):
        end = window.start + window.width

        assert window.start == 0 or window.keep_from - window.start >= HALO_FRAMES
        assert end == frames or end - window.keep_to >= HALO_FRAMES


@given(frames=utterances, widths=width_sets)
def test_windows_stay_within_the_utterance_and_have_widths_that_there_are(frames, widths):
    fitting = [width for width in widths if width <= frames]

    for window in plan(frames, widths):
        assert window.start >= 0
        assert window.start + window.width <= frames
        assert window.width in (fitting or [frames])


@given(frames=utterances, widths=width_sets)
def test_more_widths_never_cost_more_frames(frames, widths):
    def cost(widths: tuple[int, ...]) -> int:
        return sum(window.width for window in plan(frames, widths))

    fitting = [width for width in widths if width <= frames]

    assert cost(widths) <= cost((max(fitting, default=600),))


def test_the_end_of_an_utterance_has_windows_that_fit_it():
    widths = [window.width for window in plan(1030, (32, 64, 128, 256))]

    assert widths == [256, 256, 256, 256, 128]


@given(frames=utterances, widths=width_sets)
def test_windows_that_are_alike_keep_every_frame_once_in_the_widest_that_fits(frames, widths):
    windows = alike(frames, widths)

    kept = [frame for window in windows for frame in range(window.keep_from, window.keep_to)]
    assert kept == list(range(frames))
    fitting = [width for width in widths if width <= frames]
    assert {window.width for window in windows} <= {max(fitting, default=frames)}


@given(frames=st.integers(256, 4000))
def test_there_are_no_more_windows_than_needed(frames):
    fresh = 256 - 2 * HALO_FRAMES

    windows = plan(frames, [256])

    assert len(windows) == 1 + -(-(frames - 256) // fresh)


def test_an_empty_utterance_has_no_windows():
    assert plan(0, [64]) == []
    assert fitted(0, [64]) == []
    assert alike(0, [64]) == []


@given(frames=utterances, widths=width_sets)
def test_fitted_windows_keep_every_frame_once_with_a_halo_or_an_end_beside_it(frames, widths):
    windows = fitted(frames, widths)

    kept = [frame for window in windows for frame in range(window.keep_from, window.keep_to)]
    assert kept == list(range(frames))
    for window in windows:
        end = window.start + window.width
        assert window.width in widths
        assert window.start == 0 or window.keep_from - window.start >= HALO_FRAMES
        assert end >= frames or end - window.keep_to >= HALO_FRAMES
        assert end <= frames or len(windows) == 1


@given(frames=st.integers(34, 4000))
def test_little_is_computed_beside_an_utterance_by_windows_that_fit(frames):
    computed = sum(window.width for window in fitted(frames, FITTING_WIDTHS))

    assert computed < 1.18 * frames
