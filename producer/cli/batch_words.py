"""How a batch is told: facts for `--json`, words for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..state import JobState
from .records import span

if TYPE_CHECKING:
    from ..batch.batch_row import BatchRow
    from ..batch.estimate import Estimate
    from ..batch.schedule import Schedule
    from ..batch.survey import Survey


def facts_of_batch(row: BatchRow, estimate: Estimate) -> dict[str, Any]:
    """Return what is known of a batch, plain enough for JSON; null is unknown."""
    return {
        "id": row.id,
        "name": row.name,
        "client": row.client,
        "items": row.items,
        "ended": row.ended,
        "has_ended": row.has_ended,
        "counts": {state.value: count for state, count in row.counts.items()},
        "paused": row.paused,
        "cancelled": row.cancelled,
        "created_s": row.created_s,
        "expected_audio_s": round(row.total_s, 3),
        **row.schedule.encode(),
        **facts_of_estimate(estimate),
    }


def facts_of_estimate(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate, plain enough for JSON; null is unknown."""
    return {
        "backlog_s": round(estimate.backlog_s, 3),
        "rate": estimate.rate and round(estimate.rate, 3),
        "finish_s": estimate.finish_s and round(estimate.finish_s),
        "in_time": estimate.in_time,
    }


def facts_of_survey(found: Survey) -> dict[str, Any]:
    """Return what a first look found, plain enough for JSON."""
    return {
        "items": found.items,
        "invalid": found.invalid,
        "chapters": found.chapters,
        "chars": found.chars,
        "chunks": found.chunks,
        "expected_audio_s": round(found.audio_s, 3),
        "cached": found.cached,
    }


def lines_of_batch(row: BatchRow, estimate: Estimate) -> list[str]:
    """Return what `status BATCH` says, one fact a line."""
    told = [f"{count:,} {state}" for state, count in row.counts.items() if count]
    lines = [
        f"{row.id} {row.name}",
        f"client    {row.client}",
        f"items     {row.ended:,}/{row.items:,} ended: {', '.join(told) or 'none yet'}",
    ]
    if not row.is_whole:
        lines.append("input     its client still writes items; nothing runs before all are there")
    if words := words_of_schedule(row.schedule):
        lines.append(f"runs      {words}")
    if row.cancelled or row.paused:
        lines.append("held      " + ("cancelled" if row.cancelled else "paused"))
    if not row.has_ended:
        lines.append(f"done      {words_of_estimate(estimate)}")
    return lines


def lines_of_survey(found: Survey) -> list[str]:
    """Return what `batch --dry-run` says, one fact a line."""
    return [
        f"items     {found.items:,}, of which {found.invalid:,} cannot be spoken",
        f"chapters  {found.chapters:,}",
        f"text      {found.chars:,} characters in {found.chunks:,} chunks",
        f"audio     about {span(found.audio_s)}",
        f"cached    {_words_of_cache(found)}",
    ]


def _words_of_cache(found: Survey) -> str:
    if found.cached is None:
        return "unknown: no worker was here yet, or its volume cannot be seen from here"
    return f"{found.cached:,} items are on the volume and will not be spoken again"


def words_of_estimate(estimate: Estimate) -> str:
    """Return when it will be done, in words."""
    if estimate.in_time is None:
        return "unknown: the farm has not measured yet how fast it is at this"
    if estimate.finish_s is None:
        return f"not in time: {span(estimate.backlog_s)} of audio are more than the schedule holds"
    return f"by about {moment(estimate.finish_s)}"


def words_of_schedule(schedule: Schedule) -> str:
    """Return when a batch may run, in words; empty is always."""
    words = [f"{schedule.window} {schedule.window.zone.key}"] if schedule.window else []
    said = schedule.encode()
    if "not_before_s" in said:
        words.append(f"not before {moment(schedule.not_before_s)}")
    if "deadline_s" in said:
        words.append(f"until {moment(schedule.deadline_s)}")
    return ", ".join(words)


def moment(at_s: float) -> str:
    """Return a moment as a clock on this machine shows it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))


def has_failures(row: BatchRow) -> bool:
    """True if some item ended without audio."""
    return row.counts[JobState.FAILED] + row.counts[JobState.CANCELLED] > 0
