"""Handing a command over to the worker's code, which an installed client does not have."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from ..checkout import find_checkout
from ..child_process import child_environment
from .exit_codes import ExitCode


class WorkerCodeMissing(click.ClickException):
    """This is an installed client, without the code of a worker."""

    exit_code = ExitCode.NO_WORKER

    def __init__(self) -> None:
        super().__init__(
            "the worker's code is not installed here, the package carries the client alone. "
            "Clone the repository and run `scripts/quickstart` in it, or run the worker's image."
        )


def hand_over(*arguments: str, **settings: str) -> NoReturn:
    """Become `python -m worker ARGUMENTS` in the checkout; paths in it must be absolute.

    `settings` are added to the environment, where a broker's password is not for all to see.
    Raises `WorkerCodeMissing`.
    """
    checkout = find_checkout()
    if checkout is None:
        raise WorkerCodeMissing
    os.chdir(checkout)
    os.execve(  # noqa: S606  our own interpreter
        sys.executable,
        [sys.executable, "-m", "worker", *arguments],
        child_environment(**settings),
    )


def absolute(paths: Sequence[Path]) -> list[str]:
    """Return paths that mean the same from any directory."""
    return [str(path.absolute()) for path in paths]
