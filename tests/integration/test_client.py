"""The client against a real broker, with nobody working: rows, messages, errors."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from producer import (
    AsyncVoiceFarm,
    BrokerUnavailable,
    InvalidJob,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobState,
    NoWorker,
    SpeechJob,
    VoiceFarm,
    WaitTimeout,
    as_completed,
)
from producer.queues import CATALOGUE_KEY, job_key
from producer.voices import Offer, Voice

pytestmark = pytest.mark.service


@pytest.fixture
def later(farm) -> Iterator[Callable[..., None]]:
    """Do something soon in another thread, and be through with it before the farm closes."""
    timers: list[threading.Timer] = []

    def start(action: Callable[..., None], *arguments: object) -> None:
        timers.append(threading.Timer(0.1, action, arguments))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


def finish(farm: VoiceFarm, job_id: str, state: JobState = JobState.DONE, **fields) -> None:
    """Do what a worker does to the ledger."""
    farm.ledger.start(job_id, "w@test", time.time(), "token", "tag")
    farm.ledger.change(job_id, state, time.time(), **fields)


def test_a_submitted_job_has_a_row_and_one_message_on_the_queue_of_its_class(farm, client):
    job = farm.submit("Hello from the farm", voice="anna")

    row = job.row()
    assert (row.state, row.job.text, row.job.voice) == (
        JobState.QUEUED,
        "Hello from the farm",
        "anna",
    )
    assert row.times.keys() == {JobState.QUEUED}
    [message] = client.lrange("speech.interactive", 0, -1)
    headers = json.loads(message)["headers"]
    assert (headers["id"], headers["task"]) == (job.id, "speech.synthesize")
    assert client.llen("speech.batch") == 0


def test_hundreds_of_threads_may_ask_at_the_same_time(farm):
    pool = farm.broker.redis.connection_pool

    # More than redis-py's own limit; a worker has as many threads as its engine has slots.
    connections = [pool.get_connection() for _ in range(150)]

    for connection in connections:
        pool.release(connection)
    assert len(set(connections)) == 150


def test_what_dashboards_show_of_a_message_is_short(farm, client):
    farm.submit("A very long text indeed. " * 100)

    headers = json.loads(client.lindex("speech.interactive", 0))["headers"]

    assert len(headers["argsrepr"]) < 100
    assert headers["argsrepr"].startswith("(voice='default', text='A very long text")


def test_many_jobs_are_batch_work_in_the_order_given(farm, client):
    jobs = farm.submit_many((f"Line {n}" for n in range(1200)), voice="anna")

    queued = [
        json.loads(m)["headers"]["id"] for m in reversed(client.lrange("speech.batch", 0, -1))
    ]
    assert queued == [job.id for job in jobs]
    assert jobs[7].row().job.text == "Line 7"
    assert farm.counts()[JobState.QUEUED] == 1200


def test_nothing_is_queued_if_one_of_many_is_wrong(farm, client):
    with pytest.raises(InvalidJob, match="speed"):
        farm.submit_many(["fine", {"text": "too fast", "speed": 99}])

    assert client.keys("*") == []


def test_parameters_beside_a_whole_job_are_refused_instead_of_dropped(farm):
    with pytest.raises(InvalidJob, match="voice"):
        farm.submit(SpeechJob(text="Hello"), voice="anna")
    with pytest.raises(InvalidJob, match="speed"):
        farm.submit_many([SpeechJob(text="Hello")], speed=2.0)


def test_ids_are_fresh_but_an_idempotency_key_returns_the_job_it_made(farm, client):
    first = farm.submit("Once", idempotency_key="order-17")

    again = farm.submit("Once", idempotency_key="order-17")
    other = farm.submit("Once")

    assert again.id == first.id != other.id
    assert client.llen("speech.interactive") == 2


def test_a_job_that_was_never_submitted_is_not_found(farm):
    job = farm.job("0" * 32)

    with pytest.raises(JobNotFound):
        _ = job.status
    with pytest.raises(JobNotFound):
        job.wait(1)
    with pytest.raises(JobNotFound):
        job.cancel()


def test_waiting_ends_with_the_job(farm, later):
    job = farm.submit("Wait for me")
    later(finish, farm, job.id)

    assert job.wait(20) is JobState.DONE


def test_waiting_that_times_out_leaves_the_job_as_it_was(farm):
    job = farm.submit("Nobody works here")

    with pytest.raises(WaitTimeout, match="still queued"):
        job.wait(0.05)

    assert job.status is JobState.QUEUED


def test_a_failed_job_raises_its_reason(farm):
    job = farm.submit("Fail")
    finish(farm, job.id, JobState.FAILED, reason="volume_full", detail="no space left")

    with pytest.raises(JobFailed, match="volume_full") as failed:
        job.result(5)

    assert failed.value.detail == "no space left"


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(farm):
    job = farm.submit("Cancel me")

    assert job.cancel()

    assert job.status is JobState.CANCELLED
    assert farm.ledger.start(job.id, "w@test", time.time(), "token", "tag") is None
    with pytest.raises(JobCancelled):
        job.result(5)


def test_a_running_job_is_asked_to_end_and_the_worker_hears_of_it(farm):
    job = farm.submit("Cancel me while I run")
    farm.ledger.start(job.id, "w@test", time.time(), "token", "tag")

    assert job.cancel()

    assert job.status is JobState.RUNNING
    assert farm.ledger.progress(job.id, chunks=3, chunks_done=1, audio_s=2.0)


def test_the_stage_of_a_long_recording_is_told_while_its_job_runs(farm):
    job = farm.submit("A recording, let us say.")
    farm.ledger.start(job.id, "w@test", time.time(), "token", "tag")
    farm.ledger.progress(job.id, 1, 0, 0.0, stage="reading", stage_share=0.5)

    running = job.progress
    finish(farm, job.id)

    assert (running.stage, running.stage_share) == ("reading", 0.5)
    assert (job.progress.stage, job.progress.stage_share) == ("", 0.0)


def test_an_ended_job_cannot_be_cancelled(farm):
    job = farm.submit("Too late")
    finish(farm, job.id)

    assert not job.cancel()
    assert job.status is JobState.DONE


def test_a_job_that_has_ended_takes_no_other_state(farm):
    job = farm.submit("Once only")
    finish(farm, job.id)

    changed = farm.ledger.change(job.id, JobState.FAILED, time.time(), reason="internal")

    assert not changed
    assert job.row().reason == ""


def test_each_change_of_state_has_its_time_and_the_counts_agree(farm):
    job, waiting = farm.submit("a"), farm.submit("b")
    finish(farm, job.id)

    times = job.row().times
    assert times[JobState.QUEUED] <= times[JobState.RUNNING] <= times[JobState.DONE]
    counts = {state: n for state, n in farm.counts().items() if n}
    assert counts == {JobState.QUEUED: 1, JobState.DONE: 1}
    assert [row.id for row in farm.recent()] == [job.id, waiting.id]


def test_an_ended_row_is_kept_for_its_time_and_a_waiting_one_for_ever(farm, client):
    ended, waiting = farm.submit("a"), farm.submit("b")
    finish(farm, ended.id)

    assert 0 < client.ttl(job_key(ended.id)) <= farm.settings.keep_days * 86400
    assert client.ttl(job_key(waiting.id)) == -1


def test_jobs_are_yielded_as_they_end(farm, later):
    jobs = farm.submit_many(["a", "b", "c"])
    order = [jobs[2], jobs[0], jobs[1]]

    def work():
        for job in order:
            finish(farm, job.id)
            time.sleep(0.05)

    later(work)

    assert [job.id for job in as_completed(jobs, 20)] == [job.id for job in order]


def test_the_asyncio_twin_submits_waits_and_yields_in_order(farm, later, redis_url, home):
    async def use() -> list[JobState]:
        async with AsyncVoiceFarm(redis_url, home=home) as twin:
            job = await twin.submit("Hello")
            many = await twin.submit_many(["a", "b"])
            for each in [job, *many]:
                later(finish, farm, each.id)
            states = [await job.wait(20)]
            async for ended in twin.as_completed(many, 20):
                states.append(await ended.status())
            with pytest.raises(WaitTimeout):
                await (await twin.submit("never")).wait(0.05)
            return states

    assert asyncio.run(use()) == [JobState.DONE] * 3


def test_an_unknown_voice_is_refused_once_a_worker_has_announced_its_own(farm, client):
    offer = Offer(
        engine="fake",
        revision="1",
        languages=("en",),
        voices=(Voice(name="anna", revision="1", engine="fake"),),
    )
    client.hset(CATALOGUE_KEY, "fake", offer.model_dump_json())

    with pytest.raises(InvalidJob, match="'ana'"):
        farm.submit("Hello", voice="ana")
    with pytest.raises(InvalidJob, match="'pt'"):
        farm.submit("Hello", voice="anna", language="pt")

    assert farm.counts()[JobState.QUEUED] == 0


def test_a_job_that_needs_a_worker_is_refused_where_nobody_listens(farm):
    with pytest.raises(NoWorker, match=r"speech\.interactive"):
        farm.submit("Hello", require_worker=True)

    assert farm.counts()[JobState.QUEUED] == 0


def test_an_unreachable_broker_is_named_without_its_password():
    farm = VoiceFarm("redis://:topsecret@127.0.0.1:1/0")

    with pytest.raises(BrokerUnavailable) as unavailable:
        farm.submit("Hello")

    assert "127.0.0.1:1" in str(unavailable.value)
    assert "topsecret" not in str(unavailable.value)
    assert "voicefarm up" in str(unavailable.value)


def test_a_home_without_a_farm_says_how_to_start_one(home):
    with pytest.raises(BrokerUnavailable, match="voicefarm up"):
        VoiceFarm(home=home).submit("Hello")
