"""`gc`: hands over to the worker's code, which knows what may go."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from .worker_code import hand_over


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--broker", metavar="URL", help="The farm's broker (VOICEFARM_BROKER_URL).")
@click.option("--home", type=click.Path(path_type=Path), help="The volumes (VOICEFARM_HOME).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def gc(*, dry_run: bool, broker: str | None, home: Path | None, as_json: bool) -> NoReturn:
    """Remove what nobody needs any more, as a worker does by itself every VOICEFARM_GC_S seconds.

    That is: leavings of dead workers, uploads unused for long, files of `processed` beyond the
    budget if there is one, and ids of jobs whose rows have expired. Long logs of this machine are
    turned.
    """
    said = {
        "VOICEFARM_BROKER_URL": broker,
        "VOICEFARM_HOME": str(home.absolute()) if home else None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    hand_over("gc", *["--dry-run"] * dry_run, *["--json"] * as_json, **given)
