"""From the end of a command to an exit code and at most one line on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..errors import VoicefarmError
from .exit_codes import ExitCode, code_of
from .output import Output


def run(command: click.Command, arguments: Sequence[str], *, name: str, obj: Any = None) -> int:
    """Run a command line and return its exit code; what is raised on purpose has no traceback.

    A command returns its `ExitCode`, or None for good.
    """
    try:
        code = command.main(list(arguments), prog_name=name, standalone_mode=False, obj=obj)
        sys.stdout.flush()
        return int(code or ExitCode.GOOD)
    except click.Abort:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain of it at its own exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except (VoicefarmError, click.ClickException, OSError) as error:
        code, line = _told(error, name)
        Output().error(line)
        return code


def _told(error: VoicefarmError | click.ClickException | OSError, name: str) -> tuple[int, str]:
    if isinstance(error, VoicefarmError):
        return code_of(error), str(error)
    if isinstance(error, click.UsageError):
        asked = error.ctx.command_path if error.ctx else name
        return ExitCode.USAGE, f"{error.format_message()} (`{asked} --help` shows how)"
    if isinstance(error, click.ClickException):
        return error.exit_code, error.format_message()
    return ExitCode.FAILED, f"{error.filename}: {error.strerror}" if error.filename else str(error)
