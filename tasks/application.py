"""The Celery app of the workers, configured by `VOICEFARM_*` alone."""

from __future__ import annotations

from producer.broker import FarmCelery, broker_url
from worker import boot, inspect
from worker.celery_settings import celery_settings
from worker.config import WorkerSettings
from worker.station import Station

__all__ = ["app", "inspect"]

settings = WorkerSettings.load()
Station.configure(settings)

app = FarmCelery("voicefarm", broker_url(settings), include=["tasks.synthesize"])
app.conf.update(celery_settings(settings))
boot.install(app)
