"""What the page of a job tells: reasons, file, times; no whole text, no secret."""

from __future__ import annotations

import pytest

from producer import AssembleJob, ConvertJob, RvcSettings, SpeechJob
from producer.job_row import JobRow
from producer.state import JobState
from worker.job_facts import job_facts

#: The moment at which the page is asked for. [epoch seconds]
NOW_S = 1_700_000_100.0

SPEECH = SpeechJob(text="All that is gold does not glitter, not all those who wander are lost.")
CONVERSION = ConvertJob(upload="b" * 64, convert=RvcSettings(voice="anna"))


def facts(state: JobState, job=SPEECH, **fields) -> dict[str, str]:
    return dict(job_facts(JobRow("a" * 32, state, job.encode(), **fields), NOW_S))


def times(**ages_s: float) -> dict[JobState, float]:
    return {JobState(name): NOW_S - age_s for name, age_s in ages_s.items()}


def test_a_done_job_tells_its_file_and_how_long_it_took():
    told = facts(
        JobState.DONE,
        times=times(queued=90, running=60, done=50),
        file="processed/ab/abcd/audio.wav",
        size_bytes=960_044,
        sha256="5" * 64,
        duration_s=20.0,
        sample_rate_hz=24_000,
        node="gpu0@studio",
    )

    assert told["File"] == "processed/ab/abcd/audio.wav, 960,044 bytes"
    assert told["Audio"] == "20.00 s, 24,000 Hz"
    assert told["SHA-256"] == "5" * 64
    assert told["Waited"] == "30 s"
    assert told["Took"] == "10.00 s, 2 times real time"
    assert told["Worker"] == "gpu0@studio"
    assert not {"Reason", "Doubt", "Once more", "For"} & told.keys()


def test_a_failed_job_tells_why_and_what_queues_it_again():
    told = facts(JobState.FAILED, reason="engine_failed", detail="chunk 3 has no end", losses=2)

    assert told["Reason"] == "engine_failed"
    assert told["What happened"] == "chunk 3 has no end"
    assert told["Once more"] == f"voicefarm retry {'a' * 32}"
    assert told["Lost with a worker"] == "2 times"


def test_a_running_job_tells_how_far_it_is():
    told = facts(
        JobState.RUNNING,
        times=times(queued=90, running=75),
        chunks=5,
        chunks_done=3,
        audio_s=12.0,
        stage="converting",
        stage_share=0.4,
        cancel_requested=True,
    )

    assert told["Progress"] == "3/5 chunks, 12.0 s of audio"
    assert told["Stage"] == "converting, 40% of it done"
    assert told["For"] == "1 min 15 s"
    assert "its end" in told["Asked for"]
    assert "Took" not in told


def test_a_suspicious_job_tells_what_is_doubted():
    assert facts(JobState.SUSPICIOUS, detail="too long for its text")["Doubt"] == (
        "too long for its text"
    )


def test_of_a_text_only_the_beginning_is_told():
    told = facts(JobState.QUEUED)

    assert told["Text"] == "All that is gold does not glitter, not all thos… (69 characters)"
    assert not any("lost" in value for value in told.values())


def test_a_password_in_a_failure_is_not_told():
    told = facts(JobState.FAILED, detail="cannot reach redis://worker:hunter2@redis:6379/0")

    assert told["What happened"] == "cannot reach redis://worker:***@redis:6379/0"


@pytest.mark.parametrize(
    ("job", "name", "value"),
    [
        (CONVERSION, "Converted into", "anna"),
        (CONVERSION, "Recording", "b" * 12 + "…"),
        (AssembleJob(batch="c" * 24), "Book of", f"batch {'c' * 24}, as m4b"),
    ],
)
def test_every_kind_of_job_tells_what_it_is(job, name, value):
    assert facts(JobState.QUEUED, job)[name] == value


def test_a_job_of_another_version_tells_its_state_all_the_same():
    row = JobRow("a" * 32, JobState.DONE, '{"schema_version": 99}', file="processed/x.wav")

    assert dict(job_facts(row, NOW_S))["File"].startswith("processed/x.wav")
