"""`up`: hands over to the worker's code, which runs the farm of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import click

from .options import Command
from .worker_code import hand_over


def up_options(function: Command) -> Command:
    """What `up` takes beside settings; `python -m worker up` takes the same."""
    options: tuple[Callable[[Command], Command], ...] = (
        click.option("--flower", is_flag=True, help="Also start Flower, for this machine alone."),
        click.option(
            "--flower-port", type=click.IntRange(1, 65535), default=5555, show_default=True
        ),
        click.argument("command", nargs=-1, type=click.UNPROCESSED),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command(
    context_settings={"allow_interspersed_args": False},
    epilog='\b\nExamples:\n  voicefarm up --flower\n  voicefarm up -- voicefarm say "Hello"',
)
@click.option("--engine", metavar="NAME", help="auto, xtts, espeak or fake (VOICEFARM_ENGINE).")
@click.option("--threads", metavar="N", help="Jobs in hand at most (VOICEFARM_THREADS).")
@click.option("--broker", metavar="URL", help="Use this broker (VOICEFARM_BROKER_URL).")
@click.option("--home", type=click.Path(path_type=Path), help="The volumes (VOICEFARM_HOME).")
@up_options
def up(
    *,
    engine: str | None,
    threads: str | None,
    broker: str | None,
    home: Path | None,
    flower: bool,
    flower_port: int,
    command: Sequence[str],
) -> NoReturn:
    """Run a farm on this machine.

    It is made of a broker if none is set, a worker, and Flower if it is wanted.
    Runs until Ctrl-C, which lets the jobs in hand finish. With -- COMMAND it runs COMMAND
    once the worker is ready, then stops everything and exits with COMMAND's code.
    """
    said = {
        "VOICEFARM_ENGINE": engine,
        "VOICEFARM_THREADS": threads,
        "VOICEFARM_BROKER_URL": broker,
        "VOICEFARM_HOME": str(home.absolute()) if home else None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    arguments = ["--flower"] * flower + [f"--flower-port={flower_port}"]
    arguments += [f"--directory={Path.cwd()}", "--", *command]
    hand_over("up", *arguments, **given)
