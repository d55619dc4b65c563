"""How a job is told: facts for `--json`, words for people, an error if it has no output."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..errors import JobCancelled, JobFailed, VoicefarmError
from ..state import JobState

if TYPE_CHECKING:
    from ..job_row import JobRow
    from ..volumes import Volumes


def facts_of(row: JobRow, volumes: Volumes) -> dict[str, Any]:
    """Return what the ledger knows of a job, plain enough for JSON; null is not known yet."""
    return {
        "id": row.id,
        "state": row.state.value,
        "reason": row.reason or None,
        "detail": row.detail or None,
        "node": row.node or None,
        "attempts": row.attempts,
        "losses": row.losses,
        "chunks": row.chunks or None,
        "chunks_done": row.chunks_done,
        "stage": row.stage or None,
        "stage_share": row.stage_share if row.stage else None,
        "retakes": row.retakes,
        "trimmed_s": row.trimmed_s,
        "truncated": row.truncated,
        "times": {state.value: at_s for state, at_s in row.times.items()},
        "path": str(volumes.locate(row.file)) if row.file else None,
        "duration_s": row.duration_s or None,
        "sample_rate_hz": row.sample_rate_hz or None,
        "samples": row.samples or None,
        "size_bytes": row.size_bytes or None,
        "sha256": row.sha256 or None,
        "job": row.job.model_dump(mode="json") if row.job else None,
    }


def failure_of(row: JobRow) -> VoicefarmError | None:
    """Return why an ended job has no output; None if it has one."""
    if row.state is JobState.CANCELLED:
        return JobCancelled(row.id)
    if row.state is JobState.FAILED:
        return JobFailed(row.id, row.reason, row.detail)
    return None


def span(seconds: float) -> str:
    """Return a length of time as people say it, such as `2 h 5 min`."""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"


def lines_of(row: JobRow, listening: bool) -> list[str]:
    """Return what `status ID` says of a job, one fact a line."""
    now_s = time.time()
    entered_s = row.times.get(row.state, now_s)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entered_s))
    lines = [f"{row.id} {row.state.value}", f"since     {since} ({span(now_s - entered_s)})"]
    if queued_s := row.times.get(JobState.QUEUED):
        lines.append(f"age       {span(now_s - queued_s)}")
    if row.node:
        lines.append(f"node      {row.node}")
    if row.chunks:
        lines.append(
            f"progress  {row.chunks_done}/{row.chunks} chunks, {row.audio_s:.1f} s of audio"
        )
    if row.stage:
        lines.append(f"stage     {row.stage}, {row.stage_share:.0%} of it done")
    lines += _troubles(row)
    if not row.state.is_final and not listening:
        lines.append("workers   none is listening; `voicefarm up` starts one")
    return lines


def _troubles(row: JobRow) -> list[str]:
    """Return what did not go as it should have, one fact a line."""
    facts = {
        "attempts  {0.attempts}": row.attempts > 1,
        "losses    its worker vanished {0.losses} times while it ran": row.losses,
        "retakes   {0.retakes}": row.retakes,
        "trimmed   {0.trimmed_s:.1f} s of tails without speech": row.trimmed_s,
        "doubt     {0.detail}": row.state is JobState.SUSPICIOUS,
        "reason    {0.reason}: {0.detail}": row.reason,
    }
    return [line.format(row) for line, is_there in facts.items() if is_there]
