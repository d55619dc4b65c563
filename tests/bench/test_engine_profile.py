"""An engine's profile: what a GPU waits for is told from what lies between two kernels."""

from __future__ import annotations

import pytest

from .engine_profile import PAUSE_NS, host_share, idle_ns

MS = 1_000_000


def test_a_long_gap_belongs_to_the_stage_that_ended_it_and_a_short_one_to_nobody():
    works = [
        (0, 3 * MS, "burst"),
        (3 * MS + PAUSE_NS, 1 * MS, "burst"),
        (6 * MS, 1 * MS, "prefill"),
        (9 * MS, 2 * MS, "burst"),
    ]

    idle = idle_ns(works, 0, 10 * MS)

    assert idle.pauses_ns == PAUSE_NS
    assert idle.waits_ns == {"prefill": 2 * MS - PAUSE_NS, "burst": 2 * MS}


def test_kernels_that_overlap_leave_no_gap_and_the_first_one_may_be_waited_for():
    works = [(2 * MS, 5 * MS, "begin"), (3 * MS, 1 * MS, "burst"), (6 * MS, 4 * MS, "burst")]

    idle = idle_ns(works, 0, 10 * MS)

    assert idle.pauses_ns == 0
    assert idle.waits_ns == {"begin": 2 * MS}


def test_nothing_behind_the_end_counts():
    idle = idle_ns([(0, 1 * MS, "burst"), (12 * MS, 1 * MS, "burst")], 0, 10 * MS)

    assert idle.waits_ns == {"burst": 9 * MS}


def test_what_comes_after_the_last_kernel_is_idle_too():
    assert idle_ns([], 0, 10 * MS).waits_ns == {"the end": 10 * MS}
    assert idle_ns([(0, 1 * MS, "burst")], 0, 10 * MS).waits_ns == {"the end": 9 * MS}


def test_what_a_watched_gpu_does_in_a_turn_it_does_as_often_as_it_turns_unwatched():
    # 30 turns of 90 ms in 3 s that a slow host made of 2.7 s of work; unwatched, 11 a second.
    assert host_share(2700 * MS, 30, 11.0) == pytest.approx(0.01)
    assert host_share(2700 * MS, 30, 12.0) == 0.0
