"""How a job is treated by how often it was lost: never more leniently than before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.quarantine import LOSSES_ALONE, LOSSES_IN_COMPANY, Treatment, treatment

SEVERITY = list(Treatment)


def test_a_job_is_first_in_company_then_alone_then_given_up():
    runs = [treatment(losses) for losses in range(LOSSES_IN_COMPANY + LOSSES_ALONE + 1)]

    assert runs.count(Treatment.COMPANY) == LOSSES_IN_COMPANY
    assert runs.count(Treatment.ALONE) == LOSSES_ALONE
    assert runs[-1] is Treatment.QUARANTINE


@given(st.integers(0, 1000))
def test_a_further_loss_is_never_treated_more_leniently(losses):
    before, after = treatment(losses), treatment(losses + 1)

    assert SEVERITY.index(before) <= SEVERITY.index(after)
