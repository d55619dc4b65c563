"""`up`: hands over to the worker's code, which runs the farm of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from .options import Command, usage_error
from .worker_code import hand_over


def _per_gpu(context: click.Context, parameter: click.Parameter, given: str) -> int:
    if given == "auto":
        return 1
    if given.isdecimal() and int(given):
        return int(given)
    raise click.BadParameter(f"{given!r} is neither auto nor a number above 0", context, parameter)


def up_options(function: Command) -> Command:
    """What `up` takes beside settings; `python -m worker up` takes the same."""
    count = click.IntRange(min=0)
    options: tuple[Callable[[Command], Command], ...] = (
        click.option(
            "--gpus",
            metavar="all|0,1|cpu",
            help="Which GPUs get a worker each; by itself all, if the engine can use them.",
        ),
        click.option(
            "--workers-per-gpu",
            metavar="auto|N",
            default="auto",
            callback=_per_gpu,
            help="auto is 1: no second one on the same GPU has been measured to gain.",
        ),
        click.option(
            "--min", "least", type=count, help="Workers at least; below --max they scale."
        ),
        click.option("--max", "most", type=click.IntRange(min=1), help="Workers at most."),
        click.option("--allow-small-gpu", is_flag=True, help="Below 12 GB or capability 7.0 too."),
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
    epilog="\b\nExamples:\n  voicefarm up --flower\n  voicefarm up --gpus 0,1 --min 0\n"
    '  voicefarm up -- voicefarm say "Hello"',
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
    command: Sequence[str],
    **flags: Any,
) -> NoReturn:
    """Run a farm on this machine.

    It is made of a broker if none is set, a worker a GPU or one on the processor, and Flower
    if it is wanted. A worker that dies is started again. With --min below --max there are as
    many as the backlog needs.
    Runs until Ctrl-C, which lets the jobs in hand finish. With -- COMMAND it runs COMMAND
    once a worker is ready, then stops everything and exits with COMMAND's code.
    """
    if None not in (flags["least"], flags["most"]) and flags["least"] > flags["most"]:
        raise usage_error(f"--min {flags['least']} is more than --max {flags['most']}")
    said = {
        "VOICEFARM_ENGINE": engine,
        "VOICEFARM_THREADS": threads,
        "VOICEFARM_BROKER_URL": broker,
        "VOICEFARM_HOME": str(home.absolute()) if home else None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    hand_over("up", *_repeated(flags), f"--directory={Path.cwd()}", "--", *command, **given)


def _repeated(flags: Mapping[str, Any]) -> list[str]:
    """Return flags as they are typed."""
    spelled = {"least": "min", "most": "max"}
    arguments = []
    for name, value in flags.items():
        flag = "--" + spelled.get(name, name).replace("_", "-")
        if value is True:
            arguments.append(flag)
        elif value is not None and value is not False:
            arguments.append(f"{flag}={value}")
    return arguments
