"""`speech.synthesize`: text, or a recording -> engine -> store -> ledger."""

from __future__ import annotations

from typing import Any

from producer.job import EngineJob
from producer.queues import SYNTHESIZE
from worker.attempt import Attempt
from worker.engine.model import ModelOffer
from worker.plan import Plan
from worker.planning import plan_job
from worker.rendition import render
from worker.staged import Entry
from worker.station import Station

from .application import app


@app.task(  # type: ignore[untyped-decorator]
    name=SYNTHESIZE, bind=True, Request="worker.job_request:JobRequest"
)
def synthesize(self: Any, job_id: str) -> None:
    """Make one job of the ledger into its file on the volume.

    The thread only waits: for the engine's takes and for the disk.
    """
    station = Station.current()
    tag = self.request.properties["delivery_tag"]
    with Attempt(station, job_id, tag) as attempt:
        job = attempt.start()
        plan = plan_job(attempt.id, job, offered(station, attempt, job))
        attempt.done(obtain(station, attempt, job, plan))


def offered(station: Station, attempt: Attempt, job: EngineJob) -> ModelOffer:
    """Return what can be done here, a voice that has just been added included."""
    return station.announcer.offer_with(job, until=lambda: attempt.cancelled)


def obtain(station: Station, attempt: Attempt, job: EngineJob, plan: Plan) -> Entry:
    """Return the file of a plan: found, waited for while another makes it, or made here."""

    def found() -> Entry | None:
        return station.store.find(plan.key, job.output.format)

    def has_no_sense() -> bool:
        return attempt.cancelled or found() is not None

    with (
        station.admission.passage() as settle,
        station.claims.held(plan.key, attempt.claimant, on_wait=settle, until=has_no_sense),
    ):
        return found() or render(station, attempt, job, plan, settle)
