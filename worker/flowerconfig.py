"""What Flower is told wherever it runs: `celery -A tasks flower --conf=worker/flowerconfig.py`.

It only reads, shows nothing of a text but its beginning, and behind a job's id is the job's page.
"""

from __future__ import annotations

from typing import Any

from producer.broker_url import mask_all
from worker.job_page import add_job_pages

#: Characters of arguments, results and errors that are shown.
SHOWN_CHARS = 80

#: Characters of a traceback that are shown, from its end: there stands what went wrong.
TRACEBACK_CHARS = 2000

read_only = True
#: Flower's own choice has no text.
tasks_columns = "uuid,args,state,received,runtime,worker"
#: Workers that are gone are shown for an hour: each new container has a name of its own.
purge_offline_workers = 3600

add_job_pages()


def shortened(text: str) -> str:
    """Return at most `SHOWN_CHARS` of a text."""
    text = mask_all(text)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def format_task(task: Any) -> Any:
    """Return what is shown of a task, which is a copy."""
    for name in ("args", "kwargs", "result", "exception"):
        value = getattr(task, name, None)
        if value:
            setattr(task, name, shortened(str(value)))
    if getattr(task, "traceback", None):
        task.traceback = mask_all(str(task.traceback))[-TRACEBACK_CHARS:]
    return task
