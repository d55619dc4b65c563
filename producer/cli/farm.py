"""`workers`: who is there, and why there are so many."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .exit_codes import ExitCode
from .options import farm_command
from .output import Output

if TYPE_CHECKING:
    from ..client import VoiceFarm


@click.command()
@farm_command
@click.option("--why", is_flag=True, help="What every `up` has decided about them, newest last.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
def workers(farm: VoiceFarm, output: Output, *, why: bool, limit: int) -> ExitCode:
    """Show every worker that answers; 69 if none does."""
    if why:
        return _decisions(farm, output, limit)
    found = [{"node": node, **facts} for node, facts in sorted(farm.workers().items())]
    if not found:
        output.note("no worker is listening; `voicefarm up` starts one")
        return ExitCode.NO_WORKER
    output.table(("node", "state", "engine", "device", "slots", "active"), found)
    return ExitCode.GOOD


def _decisions(farm: VoiceFarm, output: Output, limit: int) -> ExitCode:
    kept = reversed(farm.decisions(limit))
    rows = [asdict(decision) | {"at": _clock(decision.at_s)} for decision in kept]
    if not rows:
        output.note("nothing was decided yet")
        return ExitCode.GOOD
    output.table(("at", "host", "action", "node", "workers", "reason"), rows)
    return ExitCode.GOOD


def _clock(epoch_s: float) -> str:
    """Return a moment in the reader's own time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))
