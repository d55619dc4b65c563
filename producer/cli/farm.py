"""`workers`: who is there, how they are, and why there are so many."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from .exit_codes import ExitCode
from .options import farm_command
from .output import Output
from .worker_rows import COLUMNS, backlog_line, found_workers, rich_table, worker_row

if TYPE_CHECKING:
    from ..client import VoiceFarm
    from ..overview import Overview

#: How often `--watch` looks again, beside the second that workers get to answer.
WATCH_S: Final = 1.0


@click.command()
@farm_command
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--why", is_flag=True, help="What every `up` has decided about them, newest last.")
@click.option("--limit", type=click.IntRange(min=1), default=50, help="Decisions that are shown.")
def workers(farm: VoiceFarm, output: Output, *, watch: bool, why: bool, limit: int) -> ExitCode:
    """Show every worker: state, batch, speed, GPU, restarts; 69 if none answers."""
    if why:
        return _decisions(farm, output, limit)
    if watch:
        return _watch(farm, output)
    found, overview, answered = _look(farm)
    _show(found, output)
    output.note(backlog_line(overview))
    if not answered:
        output.note("no worker is listening; `voicefarm up` starts one")
        return ExitCode.NO_WORKER
    return ExitCode.GOOD


def _look(farm: VoiceFarm) -> tuple[list[Mapping[str, Any]], Overview, bool]:
    """Return all workers that are known of, the farm, and whether any worker answers."""
    answers, overview = farm.workers(), farm.overview()
    return list(found_workers(answers, overview).values()), overview, bool(answers)


def _show(found: list[Mapping[str, Any]], output: Output) -> None:
    if found:
        output.table(COLUMNS, found if output.as_json else [worker_row(facts) for facts in found])


def _watch(farm: VoiceFarm, output: Output) -> ExitCode:
    if output.as_json or not sys.stdout.isatty():
        while True:
            found, _, _ = _look(farm)
            _show(found, output)
            sys.stdout.flush()
            time.sleep(WATCH_S)
    from rich.live import Live

    with Live(auto_refresh=False, screen=False) as live:
        while True:
            found, overview, _ = _look(farm)
            rows = [worker_row(facts) for facts in found]
            live.update(rich_table(rows, backlog_line(overview)), refresh=True)
            time.sleep(WATCH_S)


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
