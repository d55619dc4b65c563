"""`python -m worker`: what `voicefarm` hands over to the worker's code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from producer.cli.outcome import run
from producer.cli.output import Output
from producer.cli.up import up_options

from .config import WorkerSettings
from .farm_plan import FarmPlan
from .gc_command import gc
from .panel import Panel
from .up import up
from .voice_commands import voices


@click.group()
def worker() -> None:
    """Run workers of this machine."""


@worker.command("up", context_settings={"allow_interspersed_args": False})
@click.option("--directory", type=click.Path(path_type=Path), default=".", help="Of COMMAND.")
@up_options
def run_up(*, flower: bool, flower_port: int, command: Sequence[str], **flags: Any) -> int:
    """Run the farm of this machine; every setting is a VOICEFARM_* variable."""
    plan = FarmPlan(flower_port=flower_port if flower else None, command=command, **flags)
    output, settings = Output(), WorkerSettings.load()
    # A command beside the farm has the terminal for itself.
    with output.foot(wanted=not command) as draw:
        if draw is None:
            return up(settings, plan, tell=output.note)
        return up(settings, plan, tell=output.note, show=Panel(draw).show)


worker.add_command(voices)
worker.add_command(gc)


if __name__ == "__main__":
    sys.exit(run(worker, sys.argv[1:], name="python -m worker"))
