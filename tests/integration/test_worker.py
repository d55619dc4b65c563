"""A real worker on a real broker: from a text to a proven file, and every way it can go wrong."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import redis
import soundfile

from producer import JobFailed, JobState, VoiceFarm
from producer.languages import chunk_limit_chars
from producer.queues import STRANGERS_KEY, job_key
from producer.text import split
from tests.conftest import CHECKOUT, eventually

pytestmark = pytest.mark.service


@pytest.fixture
def client(redis_url) -> redis.Redis:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def celery(redis_url: str, home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Celery's own command line against the farm, as an operator would."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "VOICEFARM_BROKER_URL": redis_url, "VOICEFARM_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def active(farm: VoiceFarm) -> int | None:
    """How many rows the worker's engine has; None if it did not answer in time."""
    return farm.workers().get("w@test", {}).get("active")


def in_hand(client: redis.Redis) -> int:
    return client.hlen("unacked")


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


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "opus"])
def test_every_format_is_written_and_read_back(start_worker, farm, format):
    start_worker()

    result = farm.submit("A short line of text", format=format).result(30)

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
    assert farm.workers()["w@test"]["takes"] == 1


def test_a_worker_answers_loading_and_takes_nothing_until_it_is_ready(
    start_worker, farm, client, redis_url, home
):
    job = farm.submit("I was here before the worker")
    start_worker(fake_load_s=6, ready=False)

    answer = eventually(
        lambda: celery(redis_url, home, "inspect", "gpu_ready", "--json", "-d", "w@test").stdout
    )
    loading = json.loads(answer)["w@test"]
    held_while_loading, state_while_loading = in_hand(client), job.status

    assert loading["state"] == "loading"
    assert (held_while_loading, state_while_loading) == (0, JobState.QUEUED)
    assert job.wait(30) is JobState.DONE
    ready = json.loads(celery(redis_url, home, "inspect", "gpu_ready", "--json").stdout)
    stats = json.loads(celery(redis_url, home, "inspect", "stats", "--json").stdout)
    assert ready["w@test"]["state"] == "ready"
    assert stats["w@test"]["voicefarm"].keys() == ready["w@test"].keys()
    assert stats["w@test"]["voicefarm"]["state"] == "ready"


def test_what_the_engine_offers_is_told_through_inspect_and_to_clients(
    start_worker, farm, redis_url, home
):
    start_worker()

    voices = json.loads(celery(redis_url, home, "inspect", "voices", "--json").stdout)["w@test"]
    engine = json.loads(celery(redis_url, home, "inspect", "engine", "--json").stdout)["w@test"]

    assert set(voices["voices"]) == {voice.name for voice in farm.voices().voices}
    assert engine["slots"] == farm.workers()["w@test"]["slots"]


def test_plain_autoscale_grows_with_a_burst_and_shrinks_when_idle(start_worker, farm, client):
    worker = start_worker("w", "--autoscale=8,2", slots=8, fake_speed=2, idle_thread_s=1)

    def threads() -> int:
        stats = farm.broker.celery.control.inspect(timeout=1, destination=["w@test"]).stats()
        return stats["w@test"]["pool"]["max-concurrency"] if stats else 0

    assert threads() == 2
    jobs = farm.submit_many(f"burst line number {n}, spoken slowly" for n in range(24))
    eventually(lambda: threads() == 8, 10)

    assert all(job.wait(60) is JobState.DONE for job in jobs)
    eventually(lambda: threads() == 2, 20)
    assert worker.process.poll() is None


def test_a_worker_never_holds_more_than_its_engine_can_start(start_worker, farm, client):
    start_worker(slots=3, interactive_share=0, fake_speed=1)
    farm.submit_many(f"line {n}, spoken slowly" for n in range(40))

    eventually(lambda: in_hand(client) == 3)
    held = set()
    for _ in range(20):
        held.add(in_hand(client))
        time.sleep(0.05)

    assert max(held) <= 4  # one more may be on its way between two steps


def test_a_share_of_the_slots_is_kept_for_who_waits_now(start_worker, farm):
    start_worker(slots=4, interactive_share=0.25, fake_speed=0.5)
    batch = farm.submit_many(f"a long night of line {n}" for n in range(12))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in batch) == 3)

    quick = farm.submit("hi")

    assert quick.wait(30) is JobState.DONE
    assert sum(job.status is JobState.DONE for job in batch) == 0


def test_a_running_job_is_cancelled_and_its_row_leaves_the_engine(start_worker, farm):
    start_worker(slots=2, fake_speed=0.2)
    job = farm.submit("a line that would take most of a minute to speak")
    eventually(lambda: active(farm) == 1)

    assert job.cancel()

    assert job.wait(10) is JobState.CANCELLED
    eventually(lambda: active(farm) == 0, 10)


def test_a_job_revoked_with_celery_is_cancelled_in_the_ledger(start_worker, farm, redis_url, home):
    start_worker(slots=2, fake_speed=0.2)
    job = farm.submit("a line that would take most of a minute to speak")
    eventually(lambda: job.status is JobState.RUNNING)

    celery(redis_url, home, "control", "terminate", "SIGTERM", job.id)

    assert job.wait(10) is JobState.CANCELLED


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


def test_a_job_of_an_unknown_schema_version_fails_with_that_reason(start_worker, farm, client):
    job = farm.submit("from the future")
    spec = json.loads(client.hget(job_key(job.id), "spec"))
    client.hset(job_key(job.id), "spec", json.dumps({**spec, "schema_version": 99}))

    start_worker()

    with pytest.raises(JobFailed, match="unsupported_schema"):
        job.result(30)


def test_messages_of_others_are_kept_and_our_jobs_go_on(start_worker, farm, client):
    start_worker()
    farm.broker.celery.send_task(
        "billing.charge", args=["a customer"], queue="speech.interactive", ignore_result=True
    )

    kept = json.loads(eventually(lambda: client.lindex(STRANGERS_KEY, 0)))

    assert "billing.charge" in kept["why"]
    assert "a customer" in kept["message"]["body"]
    assert farm.submit("still here").wait(30) is JobState.DONE


@pytest.mark.parametrize("entry", [b"garbage", b"\xff\xfe", b"[]", b'{"a": 1}', b"null"])
def test_an_entry_that_is_no_message_at_all_is_kept_and_stops_nobody(
    start_worker, farm, client, entry
):
    worker = start_worker()

    client.lpush("speech.batch", entry)

    kept = json.loads(eventually(lambda: client.lindex(STRANGERS_KEY, 0)))
    assert "no Celery message" in kept["why"]
    assert farm.submit("still here").wait(30) is JobState.DONE
    assert worker.process.poll() is None


def test_a_message_without_a_row_is_dropped_and_said(start_worker, farm):
    worker = start_worker()
    farm.broker.celery.send_task(
        "speech.synthesize", args=["f" * 32], queue="speech.interactive", ignore_result=True
    )

    eventually(lambda: "no row in the ledger" in worker.log)
    assert farm.submit("still here").wait(30) is JobState.DONE


def test_a_missing_volume_fails_the_job_with_the_reason_and_the_worker_lives(
    start_worker, farm, home
):
    start_worker()
    (home / "processed").rename(home / "elsewhere")

    with pytest.raises(JobFailed, match="volume_missing"):
        farm.submit("nowhere to go").result(30)

    (home / "elsewhere").rename(home / "processed")
    assert farm.submit("home again").wait(30) is JobState.DONE


def test_an_engine_that_cannot_be_loaded_ends_the_worker_with_the_reason(start_worker, farm):
    job = farm.submit("wait for a better worker")
    worker = start_worker(ready=False, fake_load_error="no such checkpoint")

    assert worker.process.wait(60) == 70
    assert "no such checkpoint" in worker.log
    assert job.status is JobState.QUEUED


def test_a_warm_stop_finishes_what_runs_and_gives_back_what_waits(start_worker, farm, client):
    worker = start_worker(slots=2, interactive_share=0, fake_speed=1)
    jobs = farm.submit_many(f"line {n}" for n in range(6))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in jobs) == 2)

    assert worker.stop() == 0

    states = [job.status for job in jobs]
    assert states.count(JobState.DONE) >= 2
    assert states.count(JobState.RUNNING) == 0
    assert client.llen("speech.batch") == states.count(JobState.QUEUED)
    assert in_hand(client) == 0


def test_a_cold_stop_gives_everything_back_and_cancels_nothing(start_worker, farm, client):
    worker = start_worker(slots=3, interactive_share=0, fake_speed=0.5)
    jobs = farm.submit_many(f"line {n}, spoken very slowly" for n in range(6))
    eventually(lambda: sum(job.status is JobState.RUNNING for job in jobs) == 3)

    worker.stop(signal.SIGQUIT)

    assert {job.status for job in jobs} == {JobState.QUEUED}
    assert (client.llen("speech.batch"), in_hand(client)) == (6, 0)
    start_worker("next", slots=8, interactive_share=0)
    assert [job.wait(30) for job in jobs] == [JobState.DONE] * 6


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


def test_the_fast_worker_is_not_idle_while_the_slow_one_holds_waiting_jobs(
    start_worker, farm, client
):
    common = {"slots": 4, "interactive_share": 0}
    start_worker("slow", **common, fake_speed=1)
    start_worker("fast", **common, fake_speed=8)

    jobs = farm.submit_many(f"line number {n:02}" for n in range(72))
    ended = [(row.node, row.times) for row in (job.row() for job in jobs if job.wait(90))]

    by_node = {node: sum(n == node for n, _ in ended) for node in ("slow@test", "fast@test")}
    assert by_node["fast@test"] > 5 * by_node["slow@test"]
    # Nothing lay with the slow one unstarted: its last start is before the fast one's last end.
    last_start = max(t[JobState.RUNNING] for n, t in ended if n == "slow@test")
    last_end = max(t[JobState.DONE] for n, t in ended if n == "fast@test")
    assert last_start <= last_end


def test_a_hundred_jobs_of_ten_clients_on_two_workers_are_a_hundred_right_files(
    start_worker, farm, redis_url, home
):
    start_worker("one", slots=4)
    start_worker("two", slots=4)
    program = (
        "import sys; from producer import VoiceFarm; f = VoiceFarm(sys.argv[1], home=sys.argv[2]);"
        "[print(j.id) for j in f.submit_many(f'client {sys.argv[3]}, line {n}' for n in range(10))]"
    )
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", program, redis_url, str(home), str(n)],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(10)
    ]
    ids = [line for client in clients for line in client.communicate(timeout=60)[0].split()]

    results = [farm.job(job_id).result(60) for job_id in ids]

    assert len({result.path for result in results}) == 100
    for result in results:
        assert hashlib.sha256(result.path.read_bytes()).hexdigest() == result.sha256
    counts = {state: n for state, n in farm.counts().items() if n}
    assert counts == {JobState.DONE: 100}
    workers = farm.workers()
    assert sum(facts["takes"] for facts in workers.values()) == 100
    assert not any((home / "processed" / ".staging").iterdir())
    rows = [farm.job(job_id).row() for job_id in ids]
    assert {row.attempts for row in rows} == {1}


def test_a_killed_engine_process_costs_no_job(start_worker, farm):
    worker = start_worker(engine_process="own", slots=4, interactive_share=0, fake_speed=0.2)
    engine = farm.workers()["w@test"]["engine_pid"]
    jobs = farm.submit_many(f"line number {n}" for n in range(4))
    eventually(lambda: active(farm) == 4)

    os.kill(engine, signal.SIGKILL)

    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 4
    facts = farm.workers()["w@test"]
    assert (facts["state"], facts["deaths"]) == ("ready", 1)
    assert worker.process.poll() is None


def test_a_text_that_kills_its_engine_process_fails_alone_and_can_be_freed(start_worker, farm):
    worker = start_worker(engine_process="own", slots=8, fake_abort_on="poison")

    texts = [f"line number {n}" for n in range(50)]
    jobs = farm.submit_many([*texts[:20], "the poison", *texts[20:]])

    states = [job.wait(60) for job in jobs]
    poison = jobs.pop(20)
    assert states.count(JobState.DONE) == 50
    row = poison.row()
    assert (row.state, row.reason, row.losses) == (JobState.FAILED, "poison", 0)
    assert row.job is not None and row.job.text == "the poison"
    assert not jobs[0].retry()

    worker.stop()
    start_worker("healed")
    assert poison.retry()
    assert poison.wait(30) is JobState.DONE
    assert poison.row().reason == ""


def test_a_job_submitted_without_any_worker_is_done_by_the_first_that_comes(start_worker, farm):
    job = farm.submit("first come")

    start_worker()

    assert job.wait(30) is JobState.DONE
    assert isinstance(farm, VoiceFarm)
