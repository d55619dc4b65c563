"""What a job's page tells of it, from its row in the ledger; pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from producer.assemble_job import AssembleJob
from producer.broker_url import mask_all
from producer.cli.records import span
from producer.job import AnyJob, ConvertJob, SpeechJob
from producer.job_row import JobRow
from producer.state import JobState
from producer.text import shorten

#: A name and what stands behind it.
Fact = tuple[str, str]

#: Characters of a failure's detail that are shown; the ledger has all.
DETAIL_CHARS: Final = 2000


def job_facts(row: JobRow, now_s: float) -> list[Fact]:
    """Return what is known of a job, what people ask first before; `now_s` is the epoch.

    Nothing of a text but its beginning, and no password of a URL, is among it.
    """
    facts = [*_outcome(row), *_wish(row.job), *_file(row), *_times(row, now_s), *_troubles(row)]
    return [(name, value) for name, value in facts if value]


def _outcome(row: JobRow) -> Iterator[Fact]:
    detail = mask_all(row.detail)[:DETAIL_CHARS]
    if row.state is JobState.FAILED:
        yield "Reason", row.reason
        yield "What happened", detail
        yield "Once more", f"voicefarm retry {row.id}"
    else:
        yield "Doubt", detail
    if row.cancel_requested and not row.state.is_final:
        yield "Asked for", "its end, as soon as it can leave its batch"
    if row.chunks and not row.state.has_output:
        yield "Progress", f"{row.chunks_done}/{row.chunks} chunks, {row.audio_s:.1f} s of audio"
    if row.stage and not row.state.is_final:
        yield "Stage", f"{row.stage}, {row.stage_share:.0%} of it done"


def _wish(job: AnyJob | None) -> Iterator[Fact]:
    if isinstance(job, AssembleJob):
        yield "Book of", f"batch {job.batch}, as {job.format}"
        return
    if isinstance(job, SpeechJob):
        yield "Text", f"{shorten(job.text)} ({len(job.text):,} characters)"
        yield "Voice", f"{job.voice}, {job.language}"
    if isinstance(job, ConvertJob):
        yield "Recording", f"{job.upload[:12]}…"
    if job is not None:
        yield "Converted into", job.convert.voice if job.convert else ""
        yield "Class", job.priority.value


def _file(row: JobRow) -> Iterator[Fact]:
    if not row.file:
        return
    yield "File", f"{row.file}, {row.size_bytes:,} bytes"
    yield (
        "Audio",
        f"{row.duration_s:.2f} s" + (f", {row.sample_rate_hz:,} Hz" if row.sample_rate_hz else ""),
    )
    yield "SHA-256", row.sha256


def _times(row: JobRow, now_s: float) -> Iterator[Fact]:
    for state, at_s in sorted(row.times.items(), key=lambda entry: entry[1]):
        yield state.value.replace("_", " ").capitalize(), _moment(at_s)
    queued_s, begun_s = row.times.get(JobState.QUEUED), row.times.get(JobState.RUNNING)
    if queued_s is not None and begun_s is not None:
        yield "Waited", span(begun_s - queued_s)
    if row.ran_s is not None:
        factor = row.real_time_factor
        yield "Took", f"{row.ran_s:.2f} s" + (f", {factor:g} times real time" if factor else "")
    elif not row.state.is_final:
        yield "For", span(now_s - row.times.get(row.state, now_s))


def _troubles(row: JobRow) -> Iterator[Fact]:
    yield "Worker", row.node
    yield "Attempts", str(row.attempts) if row.attempts > 1 else ""
    yield "Lost with a worker", f"{row.losses} times" if row.losses else ""
    yield "Retakes", str(row.retakes) if row.retakes else ""
    yield "Tails cut off", f"{row.trimmed_s:.1f} s" if row.trimmed_s else ""


def _moment(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at_s))
