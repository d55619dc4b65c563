"""`report` and `verify`: what a night has brought, and whether it is all there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .exit_codes import ExitCode
from .options import batch_id, farm_command
from .output import Output

if TYPE_CHECKING:
    from ..client import VoiceFarm

#: Failures that are told in words; `--json` and `--html` have more.
_SHOWN = 20


@click.command()
@farm_command
@batch_id(metavar="BATCH")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page to this file.")
def report(farm: VoiceFarm, output: Output, *, batch_id: str, html: Path | None) -> ExitCode:
    """Tell what became of a batch; 1 if an item has no audio, or if the sum is not right."""
    from ..batch.report_page import page_of, rows_of, verdict_of

    told = farm.batch_of(batch_id).report()
    if html is not None:
        html.write_text(page_of(told), encoding="utf-8")
        output.note(f"the page is {html}")
    lines = [verdict_of(told), *(f"{name:<12} {value}" for name, value in rows_of(told))]
    for entry in told.failures[:_SHOWN]:
        why = ": ".join(filter(None, (entry["reason"], entry["detail"])))
        lines.append(f"{entry['state']:<12} {entry['custom_id'] or entry['id']}  {why}")
    if len(told.failures) > _SHOWN:
        lines.append(f"and {len(told.failures) - _SHOWN:,} more; --json has all of them")
    output.data(told.facts(), "\n".join(lines))
    has_book = told.book is None or told.book["state"] not in ("failed", "cancelled")
    good = told.adds_up and not told.batch.failed and has_book
    return ExitCode.GOOD if good else ExitCode.FAILED


@click.command()
@farm_command
@batch_id(metavar="BATCH")
def verify(farm: VoiceFarm, output: Output, *, batch_id: str) -> ExitCode:
    """Read every file of a batch again; 1 if one is missing or is not what it was."""
    from ..batch.proof import Proof

    made, proof = farm.batch_of(batch_id), Proof()
    made.row()
    for flaw in made.flaws(proof):
        output.error(f"{flaw.custom_id or flaw.job_id}: {flaw.path or 'no file'}: {flaw.problem}")
    if proof.unended:
        output.note(f"{proof.unended:,} items have not ended yet")
    told = (
        f"{proof.files:,} files of {proof.bytes:,} bytes, {proof.flaws:,} missing or different; "
        f"{proof.without:,} items failed or were cancelled"
    )
    output.data(asdict(proof), told)
    return ExitCode.FAILED if proof.flaws else ExitCode.GOOD
