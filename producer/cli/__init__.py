"""The command line, `voicefarm`. What a command does is in the file of its family."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..version import VERSION
from . import (
    assembling,
    batches,
    broker,
    converting,
    doctor,
    farm,
    housekeeping,
    jobs,
    models,
    morning,
    speaking,
    up,
    voices,
)
from .exit_codes import ExitCode, epilog
from .options import OpenFarm
from .outcome import run

if TYPE_CHECKING:
    from ..client import VoiceFarm

__all__ = ["main", "run_voicefarm"]


@click.group(epilog=epilog(), invoke_without_command=True)
@click.version_option(VERSION, prog_name="voicefarm")
@click.pass_context
def voicefarm(context: click.Context) -> ExitCode | None:
    """Queue texts, get audio files."""
    if context.invoked_subcommand is not None:
        return None
    click.echo(context.get_help(), err=True)
    return ExitCode.USAGE


for _command in (
    *(up.up, speaking.say, speaking.submit, converting.convert),
    *(batches.batch, batches.results, batches.estimate, batches.pause, batches.resume),
    *(morning.report, morning.verify, assembling.assemble),
    *(jobs.status, jobs.wait, jobs.fetch, jobs.cancel, jobs.retry),
    *(farm.workers, voices.voices, models.models),
    *(broker.broker, housekeeping.gc, doctor.doctor),
):
    voicefarm.add_command(_command)


def run_voicefarm(arguments: Sequence[str], open_farm: OpenFarm | None = None) -> int:
    """Run one command line and return its exit code."""
    return run(voicefarm, arguments, name="voicefarm", obj=open_farm or _open_farm)


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(run_voicefarm(sys.argv[1:]))


def _open_farm(broker: str | None, home: Path | None) -> VoiceFarm:
    # Celery and redis are a second of imports that `--help` has no use for.
    from ..client import VoiceFarm

    return VoiceFarm(broker, home=home)
