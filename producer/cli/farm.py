"""`workers` and `voices`: who is there, and what they can say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .exit_codes import ExitCode
from .options import farm_command
from .output import Output

if TYPE_CHECKING:
    from ..client import VoiceFarm


@click.command()
@farm_command
def workers(farm: VoiceFarm, output: Output) -> ExitCode:
    """Show every worker that answers; 69 if none does."""
    found = [{"node": node, **facts} for node, facts in sorted(farm.workers().items())]
    if not found:
        output.note("no worker is listening; `voicefarm up` starts one")
        return ExitCode.NO_WORKER
    output.table(("node", "state", "engine", "device", "slots", "active"), found)
    return ExitCode.GOOD


@click.group(no_args_is_help=False)
def voices() -> None:
    """Voices that the farm can speak with."""


@voices.command("ls")
@farm_command
def list_voices(farm: VoiceFarm, output: Output) -> None:
    """Show every voice by its name, and the languages that its engine speaks."""
    catalogue = farm.voices()
    output.table(
        ("name", "engine", "revision"),
        [voice.model_dump(mode="json") for voice in catalogue.voices],
    )
    for offer in catalogue.offers:
        output.note(f"{offer.engine} speaks {' '.join(offer.languages)}")
    if not catalogue.offers:
        output.note("no worker has announced its voices yet; `voicefarm up` starts one")
