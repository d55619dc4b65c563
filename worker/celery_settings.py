"""Celery's configuration of a worker, beside what client and worker share."""

from __future__ import annotations

from typing import Any

from producer.address import Address
from producer.broker import TRANSPORT_OPTIONS

from .config import WorkerSettings


def celery_settings(settings: WorkerSettings, address: Address) -> dict[str, Any]:
    """Return what `celery -A tasks worker` needs to be ours without a single flag."""
    return {
        # Every part is named by its path, so that nothing of the worker is imported by a
        # mere `celery -A tasks inspect`.
        "worker_pool": "worker.pool:TaskPool",
        "worker_consumer": "worker.consumer:Consumer",
        "worker_autoscaler": "worker.autoscale:Autoscaler",
        "worker_concurrency": settings.threads,
        "worker_drain_s": settings.drain_s,
        "task_time_limit": settings.time_limit_s,
        "worker_idle_thread_s": settings.idle_thread_s,
        # Late acknowledgement, one message a thread: what a dead worker held comes back, and
        # nothing waits behind a busy thread while another worker is idle.
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            **TRANSPORT_OPTIONS,
            **address.flower_options,
            # What no lease was renewed for is delivered again; looked for ten times a lease.
            "visibility_timeout": settings.lease_s,
            "unacked_restore_interval": settings.lease_s / 10,
            "unacked_restore_throttle": 1,
            "queue_order_strategy": "worker.admission:ClassCycle",
        },
        "worker_redirect_stdouts": False,
    }
