"""Flower beside a farm: how it is called, for this machine alone and reading only."""

from __future__ import annotations

import importlib.util
import secrets
import socket
from typing import Final

from .farm_failure import FarmFailed
from .http_door import LOOPBACK

#: The name of its process and its log.
FLOWER: Final = "flower"

#: What Flower shows of a job; its own choice has no text.
_COLUMNS: Final = "--tasks_columns=uuid,args,state,received,started,runtime,worker"


def check_flower(port: int) -> None:
    """Raise `FarmFailed` if Flower is not installed or its port is in use."""
    if importlib.util.find_spec("flower") is None:
        raise FarmFailed("Flower is not installed: pip install 'voicefarm[monitor]'")
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            raise FarmFailed(f"port {port} is in use; --flower-port names another")


def flower_arguments(port: int) -> list[str]:
    """Return Celery's arguments for Flower; the password is not among them: those can be seen
    by every user."""
    return [FLOWER, f"--address={LOOPBACK}", f"--port={port}", "--read_only=True", _COLUMNS]


def new_password() -> str:
    """Return a password that nobody guesses."""
    return secrets.token_urlsafe(16)
