"""The Celery app of the workers, configured by `VOICEFARM_*` alone."""

from __future__ import annotations

from producer.broker import FarmCelery
from producer.broker_url import broker_url
from producer.errors import BrokerUnavailable
from worker import boot, inspect
from worker.celery_settings import celery_settings
from worker.config import WorkerSettings
from worker.station import Station

__all__ = ["app", "inspect"]

settings = WorkerSettings.load()
Station.configure(settings)

try:
    url = broker_url(settings)
except BrokerUnavailable as error:
    # Celery's command line would show a traceback.
    raise SystemExit(f"voicefarm: {error}") from None

app = FarmCelery(
    "voicefarm", url, include=["tasks.synthesize", "tasks.assemble"], amqp="worker.transport:AMQP"
)
app.conf.update(celery_settings(settings, app.farm_address))
boot.install(app)
