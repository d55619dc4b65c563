"""`python -m worker gc`: the housekeeping, now."""

from __future__ import annotations

from dataclasses import asdict

import click

from producer.broker import Broker
from producer.cli.output import Output

from .config import WorkerSettings
from .housekeeper import Housekeeper


@click.command("gc")
@click.option("--dry-run", is_flag=True)
@click.option("--json", "as_json", is_flag=True)
def gc(*, dry_run: bool, as_json: bool) -> None:
    """Remove what nobody needs any more, and tell what."""
    settings, output = WorkerSettings.load(), Output(as_json=as_json)
    broker = Broker.of(settings)
    count = freed_bytes = 0
    with broker.reachable():
        for removal in Housekeeper(settings, broker.redis).sweep(dry_run=dry_run):
            text = f"{removal.kind} {removal.name} {removal.size_bytes}"
            output.data(asdict(removal), text)
            count += 1
            freed_bytes += removal.size_bytes
    would = "would go" if dry_run else "removed"
    output.note(f"{count} {would}, {freed_bytes / 1e6:,.1f} MB")
