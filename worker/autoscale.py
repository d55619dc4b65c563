"""Celery's thread autoscaler, with its idle time set by our settings."""

from __future__ import annotations

from typing import Any

from celery.worker.autoscale import Autoscaler as CeleryAutoscaler


class Autoscaler(CeleryAutoscaler):  # type: ignore[misc]
    """Grows with each message, shrinks when nothing came for `worker_idle_thread_s`."""

    def __init__(self, pool: Any, max_concurrency: int, min_concurrency: int = 0, **options: Any):
        options.setdefault("keepalive", float(pool.app.conf["worker_idle_thread_s"]))
        super().__init__(pool, max_concurrency, min_concurrency, **options)
