"""`batch`, `results`, `estimate`, `pause` and `resume`: many items at once, and their time."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import InvalidItem
from .assembling import book_options
from .batch_waiting import wait_for_batch
from .batch_words import (
    facts_of_estimate,
    facts_of_survey,
    lines_of_survey,
    words_of_estimate,
)
from .exit_codes import ExitCode
from .options import Command, batch_id, batch_ids, farm_command, job_options, usage_error
from .output import Output
from .records import span
from .waiting import Wait, wait_options

if TYPE_CHECKING:
    from ..batch.handle import Batch
    from ..batch.schedule import Schedule
    from ..batch.submission import Submission
    from ..client import VoiceFarm


def schedule_options(function: Command) -> Command:
    """Call `function(..., schedule=...)`."""

    @click.option("--window", metavar="22:00-07:00", help="Run only between these times.")
    @click.option("--tz", metavar="ZONE", help="Of all these times; this machine's if not said.")
    @click.option("--not-before", metavar="WHEN", help="07:00 is the next, or 2026-12-24T07:00.")
    @click.option("--deadline", metavar="WHEN", help="What has not begun by then is cancelled.")
    @functools.wraps(function)
    def wired(
        *given: Any,
        window: str | None,
        tz: str | None,
        not_before: str | None,
        deadline: str | None,
        **rest: Any,
    ) -> Any:
        from ..batch.schedule import Schedule, moment_of, zone_of
        from ..batch.window import Window

        if not (window or not_before or deadline):
            return function(*given, schedule=Schedule(), **rest)
        zone, now_s = zone_of(tz), time.time()
        said: dict[str, Any] = {"window": Window.parse(window, zone)} if window else {}
        if not_before:
            said["not_before_s"] = moment_of("not_before", not_before, now_s, zone)
        if deadline:
            said["deadline_s"] = moment_of("deadline", deadline, now_s, zone)
        return function(*given, schedule=Schedule(**said), **rest)

    return wired


@click.command(
    epilog="\b\nExamples:\n"
    "  voicefarm batch book.epub --voice anna --window 22:00-07:00\n"
    "  voicefarm batch lines.jsonl --dry-run\n"
    "  voicefarm batch book.epub --assemble m4b --subtitles vtt\n"
    "  voicefarm batch lines.jsonl --wait --json\n"
    "  id=$(voicefarm batch chapters/) && voicefarm wait $id && voicefarm results $id"
)
@farm_command
@click.argument("items")
@schedule_options
@job_options
@book_options
@wait_options
@click.option("--wait", "waits", is_flag=True, help="Wait until it has ended, as `wait` does.")
@click.option("--dry-run", is_flag=True, help="Look all through, queue nothing.")
@click.option("--skip-invalid", is_flag=True, help="Wrong items are answered as failed.")
@click.option("--client", default="", help="Who asks; clients share the farm evenly.")
@click.option("--name", default="", help="What to call it; the book's title or the file's name.")
def batch(
    farm: VoiceFarm,
    output: Output,
    *,
    items: str,
    schedule: Schedule,
    fields: dict[str, Any],
    dry_run: bool,
    wait: Wait,
    waits: bool,
    **how: Any,
) -> ExitCode:
    """Queue ITEMS and print the id of the batch.

    ITEMS is JSON lines, CSV, an EPUB, a book in Markdown or plain text, a folder of texts, or -
    for JSON lines on stdin.
    """
    from ..batch.submission import Submission

    if "priority" in fields:
        raise usage_error("a batch is batch work; leave --priority out")
    with _spooled() if items == "-" else nullcontext(Path(items)) as path:
        submission = Submission(farm, path, fields=fields, schedule=schedule, **how)
        if dry_run:
            return _look_through(farm, output, submission, skip_invalid=how["skip_invalid"])
        try:
            made = submission.submit()
        except InvalidItem as error:
            output.error(f"{error}; nothing was queued")
            output.note("--dry-run tells all that is wrong, --skip-invalid queues the others")
            return ExitCode.USAGE
    _tell_queued(made, output, is_data=not waits)
    return wait_for_batch(made, wait) if waits else ExitCode.GOOD


def _tell_queued(made: Batch, output: Output, *, is_data: bool) -> None:
    row, estimate = made.row(), made.estimate()
    output.note(f"{row.items:,} items, about {span(row.total_s)} of audio")
    output.note(f"done {words_of_estimate(estimate)}")
    if row.becomes_book:
        output.note(f"its book is made then: `voicefarm fetch {made.id}`")
    if is_data:
        output.data({"id": made.id, "items": row.items, **facts_of_estimate(estimate)}, made.id)
    else:
        output.note(f"its id is {made.id}")


def _look_through(
    farm: VoiceFarm, output: Output, submission: Submission, *, skip_invalid: bool
) -> ExitCode:
    from ..batch.handle import estimate_of_work

    found = submission.survey()
    for problem in found.problems:
        output.error(str(problem))
    if found.invalid > len(found.problems):
        output.error(f"and {found.invalid - len(found.problems):,} more")
    estimate = estimate_of_work(
        farm, submission.schedule, found.audio_s - found.cached_s, found.path
    )
    lines = [*lines_of_survey(found), f"done      {words_of_estimate(estimate)}"]
    output.data(facts_of_survey(found) | facts_of_estimate(estimate), "\n".join(lines))
    wrong = found.invalid and not skip_invalid
    return ExitCode.USAGE if wrong or not found.items else ExitCode.GOOD


@click.command()
@farm_command
@batch_id(metavar="BATCH")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), help="Write this file.")
def results(farm: VoiceFarm, output: Output, *, batch_id: str, file: Path | None) -> None:
    """Print one JSON line an item, in the order of the input, whatever has become of it."""
    made = farm.batch_of(batch_id)
    made.row()
    if file is None:
        for line in made.results():
            click.echo(json.dumps(line, ensure_ascii=False))
        return
    part = file.with_name(f".{file.name}.part")
    with part.open("w", encoding="utf-8") as lines:
        for line in made.results():
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
    part.replace(file)
    output.data({"path": str(file)}, str(file))


@click.command()
@farm_command
@batch_id(metavar="[BATCH]", required=False)
def estimate(farm: VoiceFarm, output: Output, *, batch_id: str | None) -> None:
    """Tell when BATCH, or all that the farm has to do, will be done; or that it is unknown."""
    from ..batch.handle import estimate_of_work
    from ..batch.schedule import Schedule

    if batch_id is None:
        answer = estimate_of_work(farm, Schedule(), 0.0)
    else:
        answer = farm.batch_of(batch_id).estimate()
    rate = "unknown" if answer.rate is None else f"{answer.rate:,.1f} times real time"
    lines = (
        f"backlog   {span(answer.backlog_s)} of audio",
        f"rate      {rate}",
        f"done      {words_of_estimate(answer)}",
    )
    output.data(facts_of_estimate(answer), "\n".join(lines))


@click.command()
@farm_command
@batch_ids(metavar="[BATCH]...")
def pause(farm: VoiceFarm, output: Output, *, batch_ids: Sequence[str]) -> None:
    """Hold batches back, all of them if none is named; what runs goes on.

    Work that is no batch's is not held back.
    """
    _hold(farm, output, batch_ids, paused=True)


@click.command()
@farm_command
@batch_ids(metavar="[BATCH]...")
def resume(farm: VoiceFarm, output: Output, *, batch_ids: Sequence[str]) -> None:
    """Let batches go on; without a name end the pause of all, not that of single ones."""
    _hold(farm, output, batch_ids, paused=False)


def _hold(farm: VoiceFarm, output: Output, batch_ids: Sequence[str], *, paused: bool) -> None:
    from ..batch.handle import batch_ledger

    word = "paused" if paused else "resumed"
    if not batch_ids:
        with farm.broker.reachable():
            batch_ledger(farm).pause_all(wanted=paused)
        output.data({"id": None, "state": word}, f"all {word}")
    for made in map(farm.batch_of, dict.fromkeys(batch_ids)):
        if paused:
            made.pause()
        else:
            made.resume()
        output.data({"id": made.id, "state": word}, f"{made.id} {word}")


@contextmanager
def _spooled() -> Iterator[Path]:
    """Give a file with what comes on stdin: it is read twice."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)
