"""What the scaling of an `up` sees of the farm."""

from __future__ import annotations

import pytest

from producer.overview import Overview
from worker.staffing import sight_of

SPEAKS = {"state": "ready", "slots": 8, "active": 8, "real_time_factor": 40.0}


def test_a_worker_that_speaks_is_seen_with_its_pace():
    [seen] = sight_of(Overview().backlog, {"gpu0@host": SPEAKS}, []).workers

    assert (seen.is_ready, seen.fill, seen.pace) == (True, 1.0, 40.0)


@pytest.mark.parametrize(
    "facts", [{"state": "draining"}, {"state": "broken"}, {"queues": ["speech.assemble"]}]
)
def test_who_leaves_or_makes_books_alone_is_nobody_who_could_speak(facts):
    """Else the first job of a night would find a worker there, and none would be started."""
    assert sight_of(Overview().backlog, {"other@host": SPEAKS | facts}, []).workers == []
