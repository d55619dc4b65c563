"""The Celery app and its tasks: `celery -A tasks worker`."""

from __future__ import annotations

from .application import app

__all__ = ["app"]
