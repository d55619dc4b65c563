"""The vocabulary of states is closed, and an ended job stays ended."""

from __future__ import annotations

import pytest

from producer.state import TRANSITIONS, JobState, may_follow


def test_every_state_has_its_followers():
    assert set(TRANSITIONS) == set(JobState)


@pytest.mark.parametrize("state", ["done", "suspicious", "failed", "cancelled"])
def test_an_ended_job_never_changes_again(state):
    assert JobState(state).is_final


def test_a_job_runs_from_the_queue_or_again_after_a_lost_worker():
    assert may_follow(JobState.RUNNING) == (
        JobState.QUEUED,
        JobState.RUNNING,
        JobState.ASSEMBLING,
    )


def test_every_state_that_has_not_ended_can_be_cancelled():
    assert set(may_follow(JobState.CANCELLED)) == {s for s in JobState if not s.is_final}


def test_an_output_exists_only_at_the_end():
    assert all(state.is_final for state in JobState if state.has_output)
