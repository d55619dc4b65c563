"""`status`, `wait`, `fetch` and `cancel`: by id, and only by what can be an id."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.cli.waiting import show
from producer.state import JobState
from tests.unit.producer.cli_stage import AUDIO

UNKNOWN = "0" * 32


@pytest.mark.parametrize("command", ["status", "wait", "fetch", "cancel"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(text=st.text(min_size=1).filter(lambda text: not re.fullmatch(r"[0-9a-f]{32}", text)))
def test_what_is_no_id_is_a_usage_error_that_reaches_no_farm(stage, command, text):
    stage.farm.unreachable = True

    assert stage.run(command, "--", text) == 2


@pytest.mark.parametrize("command", ["status", "wait", "fetch", "cancel"])
def test_an_unknown_id_is_told_in_one_line(stage, command):
    code = stage.run(command, UNKNOWN)

    assert (code, stage.out) == (1, "")
    assert stage.err == f"voicefarm: job {UNKNOWN} is not known to this broker\n"


def test_status_counts_the_jobs_and_says_that_nobody_listens(stage):
    stage.submit()

    code = stage.run("status")

    assert code == 0
    assert re.search(r"^queued +1$", stage.out, re.MULTILINE)
    assert "none is listening" in stage.out


def test_status_with_json_is_one_object(stage):
    stage.submit()
    stage.farm.workers_there = {"cpu0@host": {"state": "ready"}}

    stage.run("status", "--json")

    told = json.loads(stage.out)
    assert told["jobs"]["queued"] == 1
    assert told["workers"] == {"cpu0@host": "ready"}


def test_status_of_a_waiting_job_says_that_nobody_listens(stage):
    job_id = stage.submit()

    stage.run("status", job_id)

    assert stage.out.startswith(f"{job_id} queued\n")
    assert "none is listening" in stage.out


def test_status_of_an_ended_job_asks_no_worker(stage):
    job_id = stage.submit()
    stage.farm.end(job_id, JobState.FAILED)

    stage.run("status", job_id)

    assert "internal: it broke" in stage.out
    assert "listening" not in stage.out


def test_status_of_a_suspicious_job_shows_the_doubt_and_what_was_done_about_it(stage):
    job_id = stage.submit()
    row = stage.farm.end(job_id, JobState.SUSPICIOUS)
    stage.farm.rows[job_id] = replace(row, retakes=2, trimmed_s=1.25, truncated=1)

    stage.run("status", job_id)
    lines = stage.out.splitlines()
    stage.run("status", "--json", job_id)

    assert lines[-3:] == [
        "retakes   2",
        "trimmed   1.2 s of tails without speech",
        "doubt     too long",
    ]
    told = json.loads(stage.out)
    assert (told["retakes"], told["trimmed_s"], told["truncated"]) == (2, 1.25, 1)


def test_status_of_a_long_recording_says_what_is_done_with_it(stage):
    job_id = stage.submit()
    row = replace(stage.farm.rows[job_id], state=JobState.RUNNING, chunks=1)
    stage.farm.rows[job_id] = replace(row, stage="pitch", stage_share=0.256)

    stage.run("status", job_id)
    lines = stage.out.splitlines()
    stage.run("status", "--json", job_id)

    assert "stage     pitch, 26% of it done" in lines
    told = json.loads(stage.out)
    assert (told["stage"], told["stage_share"]) == ("pitch", 0.256)


def test_a_bar_shows_the_stage_of_a_long_recording_and_else_the_chunks(stage):
    job_id = stage.submit()
    row = replace(stage.farm.rows[job_id], state=JobState.RUNNING, chunks=3, chunks_done=1)
    shown = []

    for one in (row, replace(row, stage="reading", stage_share=0.5)):
        show(lambda *said: shown.append(said), one)

    assert shown == [("running", 1, 3), ("reading", 50, 100)]


def test_wait_prints_each_job_as_it_ends(stage):
    ids = [stage.submit(), stage.submit()]

    code = stage.run("wait", *ids)

    assert code == 0
    assert stage.out.splitlines() == [f"{job_id} done" for job_id in ids]


def test_wait_fails_if_one_job_did_and_still_tells_of_the_others(stage):
    good, bad = stage.submit(), stage.submit()
    stage.farm.end(bad, JobState.FAILED)

    code = stage.run("wait", "--json", good, bad, UNKNOWN)

    assert code == 1
    told = {row["id"]: row["state"] for row in map(json.loads, stage.out.splitlines())}
    assert told == {good: "done", bad: "failed"}
    assert UNKNOWN in stage.err


def test_wait_names_every_job_that_goes_on_after_the_limit(stage):
    stage.farm.ending = None
    ids = [stage.submit(), stage.submit()]

    code = stage.run("wait", "--timeout", "0", *ids)

    assert code == 124
    assert all(job_id in stage.err for job_id in ids)


def test_a_wait_says_once_that_nobody_listens(stage, monkeypatch):
    stage.farm.ending = None
    job_id = stage.submit()
    monkeypatch.setattr("producer.cli.waiting._DOUBT_S", -1.0)

    stage.run("wait", "--timeout", "0.01", job_id)

    assert stage.err.count("no worker is listening") == 1


def test_a_producer_who_may_not_ask_the_workers_waits_on(stage, monkeypatch):
    stage.farm.ending, stage.farm.asking_refused = None, True
    job_id = stage.submit()
    monkeypatch.setattr("producer.cli.waiting._DOUBT_S", -1.0)

    code = stage.run("wait", "--timeout", "0.01", job_id)

    assert code == 124
    assert "refuses" not in stage.err
    assert stage.run("status", job_id) == 0
    assert "listening" not in stage.out


def test_quiet_keeps_the_errors_alone(stage, monkeypatch):
    stage.farm.ending = None
    job_id = stage.submit()
    monkeypatch.setattr("producer.cli.waiting._DOUBT_S", -1.0)

    stage.run("wait", "--quiet", "--timeout", "0.01", job_id)

    assert "no worker" not in stage.err
    assert "still queued" in stage.err


def test_fetch_gives_the_audio_of_an_ended_job(stage, tmp_path):
    job_id = stage.submit()
    stage.farm.end(job_id, JobState.DONE)

    code = stage.run("fetch", job_id, "-o", str(tmp_path / "copy.wav"))

    assert (code, stage.out) == (0, f"{tmp_path / 'copy.wav'}\n")
    assert (tmp_path / "copy.wav").read_bytes() == AUDIO


def test_fetch_does_not_wait_unless_told(stage):
    stage.farm.ending = None
    job_id = stage.submit()

    assert stage.run("fetch", job_id) == 124


def test_cancel_ends_what_has_not_ended(stage):
    waiting, ended = stage.submit(), stage.submit()
    stage.farm.end(ended, JobState.DONE)

    code = stage.run("cancel", waiting, ended)

    assert code == 1
    assert stage.out == f"{waiting} cancelled\n"
    assert stage.err == f"voicefarm: job {ended} has already ended (done)\n"


def test_a_job_named_twice_is_cancelled_once(stage):
    job_id = stage.submit()

    assert stage.run("cancel", job_id, job_id) == 0


def test_retry_queues_what_has_failed(stage):
    waiting, failed = stage.submit(), stage.submit()
    stage.farm.end(failed, JobState.FAILED)

    code = stage.run("retry", failed, waiting)

    assert code == 1
    assert stage.out == f"{failed} queued\n"
    assert stage.err == f"voicefarm: job {waiting} has not failed (queued)\n"
