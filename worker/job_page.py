"""Flower's page of a job: what the ledger knows of it, behind its id in the table of tasks.

It stands behind Flower's own password, reads one row, and changes nothing.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any, Final

import redis
from flower.urls import handlers
from flower.utils.tasks import get_task_by_id
from flower.views.tasks import TaskView
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, authenticated, url

from producer.broker import CONNECT_TIMEOUT_S, FarmCelery
from producer.errors import JobNotFound
from producer.job_row import JobRow
from producer.ledger import Ledger
from producer.state import JobState

from .job_facts import job_facts

#: Tornado escapes all that is put into it.
_TEMPLATE: Final = str(Path(__file__).with_name("job_page.html"))

#: Names of the routes: the job's page, and what Flower itself has heard of the task.
_JOB, _EVENTS = "job", "job-events"

_BADGES: Final = {
    JobState.DONE: "text-bg-success",
    JobState.SUSPICIOUS: "text-bg-warning",
    JobState.FAILED: "text-bg-danger",
    JobState.RUNNING: "task-state-started",
    JobState.ASSEMBLING: "task-state-started",
}


class JobPage(TaskView):  # type: ignore[misc]
    """The job of an id; what the ledger does not know is told as Flower tells it."""

    @authenticated
    async def get(self, job_id: str) -> None:
        """Answer with the page."""
        try:
            row = await IOLoop.current().run_in_executor(None, self._row, job_id)
        except JobNotFound:
            super().get(job_id)
            return
        except redis.RedisError as error:
            raise HTTPError(503, "the broker does not answer") from error
        self.render(
            _TEMPLATE,
            job=row,
            badge=_BADGES.get(row.state, "text-bg-secondary"),
            facts=job_facts(row, time.time()),
            has_events=get_task_by_id(self.application.events, job_id) is not None,
        )

    def _row(self, job_id: str) -> JobRow:
        return _ledger(self.application.capp).row(job_id)


def add_job_pages() -> None:
    """Have Flower answer for jobs' ids, before its own page of a task does; once."""
    if any(getattr(handler, "name", None) == _JOB for handler in handlers):
        return
    handlers[:0] = [
        url(r"/task/([0-9a-f]{32})", JobPage, name=_JOB),
        url(r"/events/([0-9a-f]{32})", TaskView, name=_EVENTS),
    ]


@cache
def _ledger(app: FarmCelery) -> Ledger:
    limits: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": CONNECT_TIMEOUT_S,
    }
    return Ledger(app.farm_address.client(decode_responses=True, **limits), keep_s=0)
