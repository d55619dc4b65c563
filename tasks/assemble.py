"""`speech.assemble`: the files of a batch's items -> one book -> store -> ledger."""

from __future__ import annotations

from typing import Any

from producer.queues import ASSEMBLE
from worker.attempt import Attempt
from worker.book.binding import bind
from worker.station import Station

from .application import app


@app.task(  # type: ignore[untyped-decorator]
    name=ASSEMBLE, bind=True, Request="worker.job_request:JobRequest"
)
def assemble(self: Any, job_id: str) -> None:
    """Make one book; the engine has nothing to do with it."""
    station = Station.current()
    tag = self.request.properties["delivery_tag"]
    with (
        station.bindery.place(),
        station.admission.passage() as settle,
        Attempt(station, job_id, tag) as attempt,
    ):
        settle()
        attempt.done(bind(station, attempt, attempt.start_assembly()))
