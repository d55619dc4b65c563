"""`workers`: who is there."""

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
