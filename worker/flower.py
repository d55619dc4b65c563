"""Flower beside a farm: how it is called, for this machine alone and reading only."""

from __future__ import annotations

import importlib.util
import secrets
import socket
from pathlib import Path
from typing import Final

from .farm_failure import FarmFailed
from .http_door import LOOPBACK

#: The name of its process and its log.
FLOWER: Final = "flower"

#: What it is told there: how to show a job, and to change nothing.
_CONFIGURATION: Final = Path(__file__).with_name("flowerconfig.py")


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
    return [FLOWER, f"--conf={_CONFIGURATION}", f"--address={LOOPBACK}", f"--port={port}"]


def new_password() -> str:
    """Return a password that nobody guesses."""
    return secrets.token_urlsafe(16)
