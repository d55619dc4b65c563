"""A real worker on a real broker: from a text to a proven file, and what can go wrong with it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time

import pytest
import soundfile

from producer import JobFailed, JobState
from producer.languages import chunk_limit_chars
from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY
from producer.text import split
from tests.conftest import CHECKOUT, eventually, facts_of

pytestmark = pytest.mark.service


def test_a_text_becomes_a_file_whose_manifest_proves_it(start_worker, farm):
    start_worker(engine="espeak")

    result = farm.submit("Hello from the farm.").result(30)

    assert hashlib.sha256(result.path.read_bytes()).hexdigest() == result.sha256
    samples, rate_hz = soundfile.read(result.path)
    assert (len(samples), rate_hz) == (result.samples, result.sample_rate_hz)
    assert result.duration_s > 0.8
    assert 0.05 < abs(samples).max() < 1.0
    manifest = json.loads((result.path.parent / "job.json").read_text())
    assert manifest["sha256"] == result.sha256
    assert manifest["engine"] == "espeak"


def test_every_format_is_written_and_read_back(start_worker, farm):
    start_worker()
    formats = ("wav", "flac", "mp3", "opus")

    jobs = [farm.submit("A short line of text", format=format) for format in formats]

    for format, job in zip(formats, jobs, strict=True):
        result = job.result(30)
        assert result.path.name == f"audio.{format}"
        assert soundfile.info(result.path).duration == pytest.approx(result.duration_s, abs=0.06)


def test_the_chunks_of_a_long_text_are_joined_in_order_into_one_file(start_worker, farm):
    start_worker(slots=3)
    text = " ".join(f"This is sentence number {n} of the long text." for n in range(60))

    first_chunk = split(text, chunk_limit_chars("en"))[0]

    job = farm.submit(text, seed=7)
    together = job.result(30)
    alone = farm.submit(first_chunk, seed=7).result(30)

    row = job.row()
    assert row.chunks == row.chunks_done > 5
    beginning = soundfile.read(together.path, frames=alone.samples)[0]
    assert (beginning == soundfile.read(alone.path)[0]).all()
    assert together.samples == soundfile.info(together.path).frames


def test_equal_content_is_computed_once(start_worker, farm):
    start_worker(slots=4, fake_speed=40)

    jobs = farm.submit_many(["The very same line of text"] * 6)
    files = {job.result(30).path for job in jobs}

    assert len(files) == 1
    assert facts_of(farm)["takes"] == 1


def test_a_worker_never_holds_more_than_its_engine_can_start(start_worker, farm, client):
    start_worker(slots=3, interactive_share=0, fake_speed=1)
    farm.submit_many(f"line {n}, spoken slowly" for n in range(40))

    eventually(lambda: client.hlen("unacked") == 3)
    held = set()
    for _ in range(20):
        held.add(client.hlen("unacked"))
        time.sleep(0.05)

    assert max(held) <= 4  # one more may be on its way between two steps


def test_a_share_of_the_slots_is_kept_for_who_waits_now(start_worker, farm):
    start_worker(slots=4, interactive_share=0.25, fake_speed=0.25)
    batch = farm.submit_many(f"a long night of line {n}" for n in range(12))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in batch) == 3)

    quick = farm.submit("hi")

    assert quick.wait(30) is JobState.DONE
    assert sum(job.status is JobState.DONE for job in batch) == 0


def test_thousands_of_cancelled_jobs_hold_up_nothing(start_worker, farm, client):
    for job in farm.submit_many(f"a line that is not wanted, number {n}" for n in range(2000)):
        farm.ledger.cancel(job.id, time.time())
    [right] = farm.submit_many(["the line that is wanted"])
    assert client.llen("speech.batch") == 2001

    start_worker(slots=1)

    assert right.wait(60) is JobState.DONE
    assert client.llen("speech.batch") == 0
    # Nothing else was ever given to a thread.
    stats = farm.broker.celery.control.inspect(timeout=10, destination=["w@test"]).stats()
    assert stats["w@test"]["total"] == {"speech.synthesize": 1}
    assert farm.counts()[JobState.CANCELLED] == 2000
    eventually(lambda: not client.exists(DELIVERIES_KEY, DELIVERED_KEY, LEASES_KEY))


def test_a_running_job_is_cancelled_and_its_row_leaves_the_engine(start_worker, farm):
    start_worker(slots=2, fake_speed=0.02)
    job = farm.submit("a line that would take minutes to speak")
    eventually(lambda: facts_of(farm)["active"] == 1)

    assert job.cancel()

    assert job.wait(30) is JobState.CANCELLED
    eventually(lambda: facts_of(farm)["active"] == 0)


def test_a_chunk_that_fails_ends_its_job_with_the_reason_and_no_other(start_worker, farm):
    start_worker(fake_fail_on="cursed")

    good, bad = farm.submit("a fine line"), farm.submit("a cursed line")

    with pytest.raises(JobFailed, match="engine_failed"):
        bad.result(30)
    assert good.wait(30) is JobState.DONE


def test_a_job_whose_audio_stays_doubtful_is_suspicious_and_says_why(start_worker, farm):
    start_worker(fake_ramble_on="well, well")
    text = "A fine line. " * 20 + "Well, well, well, and so on."

    jobs = [farm.submit(text), farm.submit(text)]
    good = farm.submit("A fine line.")

    for job in jobs:
        # The second finds the file of the first, and the doubt with it.
        assert job.wait(30) is JobState.SUSPICIOUS
        result, row = job.result(0), job.row()
        assert result.path.exists()
        assert result.doubt == row.detail
        assert row.detail.startswith("chunk 2: ")
        assert (row.retakes, row.truncated) == (2, 1)
    assert good.result(30).doubt == ""
    assert good.status is JobState.DONE


def test_a_missing_volume_fails_the_job_with_the_reason_and_the_worker_lives(
    start_worker, farm, home
):
    start_worker()
    (home / "processed").rename(home / "elsewhere")

    with pytest.raises(JobFailed, match="volume_missing"):
        farm.submit("nowhere to go").result(30)

    (home / "elsewhere").rename(home / "processed")
    assert farm.submit("home again").wait(30) is JobState.DONE


def test_a_job_goes_on_when_its_client_is_killed_while_waiting(start_worker, farm, redis_url, home):
    start_worker(fake_speed=2)
    program = (
        "import sys; from producer import VoiceFarm; f = VoiceFarm(sys.argv[1], home=sys.argv[2]);"
        "j = f.submit('a line that takes a second or two'); print(j.id, flush=True); j.wait()"
    )
    waiting = subprocess.Popen(
        [sys.executable, "-c", program, redis_url, str(home)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    job = farm.job(waiting.stdout.readline().strip())

    waiting.kill()
    waiting.wait()

    assert job.wait(30) is JobState.DONE


def test_a_job_submitted_without_any_worker_is_done_by_the_first_that_comes(start_worker, farm):
    job = farm.submit("first come")

    start_worker()

    assert job.wait(30) is JobState.DONE
