"""Stock Celery with tasks that do nothing: what the farm is measured against.

The same promises as the farm where Celery has them: late acknowledgement, one message a
thread, events on, no results. The broker comes from whoever uses the app.
"""

from __future__ import annotations

import time
from pathlib import Path

from celery import Celery

app = Celery("stock", set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
)


@app.task  # type: ignore[untyped-decorator]
def empty(text: str) -> None:
    """Do nothing with a text."""


@app.task  # type: ignore[untyped-decorator]
def timed(text: str, sent_s: float, record: str) -> None:
    """Append to the file `record` how long after `sent_s` (epoch) this began. [s]"""
    waited_s = time.time() - sent_s
    with Path(record).open("a") as file:
        file.write(f"{waited_s}\n")
