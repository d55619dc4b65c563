"""What a worker does for whoever can speak on Celery's control channel.

The channel is one for questions and for orders, and the broker cannot tell who spoke. So where
not everybody who may ask may also command, the workers themselves must not obey.
"""

from __future__ import annotations

from typing import Any, Final

from celery.worker.control import Panel

from .station import Station

#: Orders that are obeyed also then: to cancel a job, and what Flower needs to see anything.
HARMLESS: Final = frozenset(("revoke", "enable_events", "heartbeat"))

#: A question that writes a file.
_NO_QUESTION: Final = "objgraph"


def restrict(**_: Any) -> None:
    """Forget all orders but the harmless ones, if the settings say so; Celery's signal."""
    if Station.current().settings.remote_control == "inspect":
        for name in refused():
            Panel.data.pop(name, None)


def refused() -> list[str]:
    """Return the commands that are not obeyed, pool and queues and the end of the worker."""
    orders = [name for name, known in Panel.meta.items() if known.type == "control"]
    return [*sorted(set(orders) - HARMLESS), _NO_QUESTION]
