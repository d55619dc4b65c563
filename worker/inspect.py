"""Readiness through Celery's own inspect: `celery -A tasks inspect gpu_ready --json`.

The handlers run on the worker's event loop, so they only copy plain facts: one that blocks
stops the worker, and one that answers with more than JSON looks like a dead worker.
"""

from __future__ import annotations

from typing import Any

from celery.worker.control import inspect_command

from .engine.errors import EngineClosed
from .station import Station


@inspect_command(name="gpu_ready", default_timeout=2.0)  # type: ignore[untyped-decorator]
def gpu_ready(state: Any, **_: Any) -> dict[str, Any]:
    """Readiness of the models: loading, warming, ready, draining or broken."""
    return Station.current().facts()


@inspect_command(name="engine", default_timeout=2.0)  # type: ignore[untyped-decorator]
def engine(state: Any, **_: Any) -> dict[str, Any]:
    """What the engine is doing: slots, steps, takes, the age of its last step."""
    return dict(Station.current().engine.snapshot())


@inspect_command(name="voices", default_timeout=2.0)  # type: ignore[untyped-decorator]
def voices(state: Any, **_: Any) -> dict[str, Any]:
    """The voices and languages of the loaded models."""
    try:
        offer = Station.current().engine.offer()
    except EngineClosed:  # not loaded yet
        return {"voices": [], "languages": []}
    return {
        "voices": [voice.name for voice in offer.voices],
        "languages": list(offer.languages),
    }
