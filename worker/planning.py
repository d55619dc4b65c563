"""From any kind of job to its plan."""

from __future__ import annotations

from producer.job import EngineJob, SpeechJob

from .conversion import plan_conversion
from .engine.model import ModelOffer
from .plan import Plan
from .speech import plan_speech


def plan_job(attempt_id: str, job: EngineJob, offer: ModelOffer) -> Plan:
    """Plan a job for an engine; equal jobs get equal keys on every worker.

    Raises an `EngineError` for what the engine does not offer.
    """
    if isinstance(job, SpeechJob):
        return plan_speech(attempt_id, job, offer)
    return plan_conversion(attempt_id, job, offer)
