"""The consumer: Celery's own, but what it would drop is kept among the strangers first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer

from .station import Station

logger = get_logger(__name__)

#: How long an event waits for others to share a message with. Celery sends at each turn of
#: its loop what it has: a sixth of the interpreter's time where jobs are short (measured).
EVENTS_WAIT_S: Final = 0.05

#: How many events may wait, while the loop is busy. Celery's own dozen is sent by whichever task
#: comes last, and all others wait for that one.
EVENTS_LIMIT: Final = 1000

#: How long the loop may take to wake up before it is called again.
WAKE_S: Final = 0.1

#: How long the loop rests between two looks for room, as hundreds of short jobs end a second: what
#: ends meanwhile is replaced by one request. A hundredth of the time that a take lasts.
REST_S: Final = 0.01


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Named in the app's configuration as `worker_consumer`."""

    _events_due_s = 0.0
    _deaf_until_s = 0.0
    _is_wanted = False

    def on_ready(self) -> None:
        """The loop begins to turn, on a new connection."""
        if self.event_dispatcher:
            self.event_dispatcher.buffer_limit = EVENTS_LIMIT
        super().on_ready()

    def call_soon_ack(self, p: Any, *args: Any, **options: Any) -> Any:
        """Acknowledge at once, in the task's thread: nothing waits for the loop, also at a stop."""
        p(*args, **options)
        return self.wake()

    def wake(self) -> None:
        """Have the loop look whether there is room for a message. Called by any thread."""
        # In this order: whoever finds it deaf is heard when its rest is over.
        self._is_wanted = True
        now_s = time.monotonic()
        if now_s >= self._deaf_until_s:
            # A time and no flag, as a reconnection may drop the call.
            self._deaf_until_s = now_s + WAKE_S
            self.call_soon(self._look)

    def _look(self) -> None:
        """Go round once, and rest."""
        self._is_wanted = False
        self._deaf_until_s = time.monotonic() + WAKE_S
        self.hub.call_later(REST_S, self._end_rest)

    def _end_rest(self) -> None:
        self._deaf_until_s = 0.0
        if self._is_wanted:
            self._look()

    def on_send_event_buffered(self) -> None:
        """Have the loop send the events a moment later. Called by any thread."""
        now_s = time.monotonic()
        if self.hub and now_s >= self._events_due_s:
            # A time and no flag: a reconnection may drop the timer, and the next event sets it.
            self._events_due_s = now_s + EVENTS_WAIT_S
            self.hub.call_soon(self.hub.call_later, EVENTS_WAIT_S, self._flush_events)

    def stop(self) -> None:
        """Send what events there are, then stop."""
        self._flush_events()
        super().stop()

    def tell_cancelled(self, job_ids: Sequence[str]) -> None:
        """Tell Flower of jobs whose messages were dropped, as Celery tells of revoked ones."""
        logger.info("%d messages of cancelled jobs were dropped", len(job_ids))
        if self.event_dispatcher:
            for job_id in job_ids:
                self.event_dispatcher.send(
                    "task-revoked", uuid=job_id, terminated=False, signum=None, expired=False
                )

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
