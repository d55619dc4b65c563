"""Flower's configuration in the image: `celery -A tasks flower --conf=docker/flowerconfig.py`.

Reading only, behind a password, and with nothing of a text but its beginning. The engine publishes
the port on 127.0.0.1 alone; inside its container Flower must listen on every address for that.
"""

import os
import re
from pathlib import Path
from typing import Any

#: Characters of arguments, results and errors that are shown.
SHOWN_CHARS = 80

#: Characters of a traceback that are shown, from its end: there stands what went wrong.
TRACEBACK_CHARS = 2000

#: The password in a URL.
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")

address = "0.0.0.0"  # noqa: S104
port = 5555
read_only = True
persistent = True
db = os.environ.get("FLOWER_DB", "/data/flower/flower.db")
#: Events are kept over a crash too, but for the last half minute.
state_save_interval = 30_000
purge_offline_workers = 3600
max_tasks = 20_000
tasks_columns = "uuid,args,state,received,started,runtime,worker"
#: User and password, as `user:password`. Without the file Flower does not start.
basic_auth = [Path(os.environ["FLOWER_LOGIN_FILE"]).read_text(encoding="utf-8").strip()]


def masked(text: str) -> str:
    """Return `text` without the passwords of its URLs."""
    return _PASSWORD.sub(r"\1***@", text)


def shortened(text: str) -> str:
    """Return at most `SHOWN_CHARS` of a text."""
    text = masked(text)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def format_task(task: Any) -> Any:
    """Return what is shown of a task, which is a copy."""
    for name in ("args", "kwargs", "result", "exception"):
        value = getattr(task, name, None)
        if value:
            setattr(task, name, shortened(str(value)))
    if getattr(task, "traceback", None):
        task.traceback = masked(str(task.traceback))[-TRACEBACK_CHARS:]
    return task
