"""Flower's configuration in the image: `celery -A tasks flower --conf=docker/flowerconfig.py`.

What every Flower of a farm is told, and behind a password. The engine publishes the port on
127.0.0.1 alone; inside its container Flower must listen on every address for that.
"""

import os
from pathlib import Path

from worker.flowerconfig import (  # noqa: F401  these are options too
    format_task,
    purge_offline_workers,
    read_only,
    tasks_columns,
)

address = "0.0.0.0"  # noqa: S104
port = 5555
persistent = True
db = os.environ.get("FLOWER_DB", "/data/flower/flower.db")
#: Events are kept over a crash too, but for the last half minute.
state_save_interval = 30_000
max_tasks = 20_000
#: User and password, as `user:password`. Without the file Flower does not start.
basic_auth = [Path(os.environ["FLOWER_LOGIN_FILE"]).read_text(encoding="utf-8").strip()]
