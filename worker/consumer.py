"""The consumer: Celery's own, but what it would drop is kept among the strangers first."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from .station import Station


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Named in the app's configuration as `worker_consumer`."""

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep a message that is no Celery task."""
        _keep(message, "no Celery task")
        super().on_unknown_message(body, message)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a task of another application."""
        _keep(message, f"no task of ours: {exc}")
        super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a task whose message is malformed."""
        _keep(message, f"malformed: {exc}")
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Keep a message that is not JSON."""
        _keep(message, f"not decodable: {exc}")
        super().on_decode_error(message, exc)


def _keep(message: Any, why: str) -> None:
    Station.current().strangers.keep(
        why,
        {
            "headers": message.headers,
            "content_type": message.content_type,
            "body": message.body,
        },
    )
