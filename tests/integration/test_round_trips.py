"""Round trips to a real Redis: scripts, cut connections, and what is asked a second time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import ConnectionError
from redis.connection import AbstractConnection

from producer.backlog import expected_s
from producer.batch.ledger import PIECE
from producer.job import SpeechJob
from producer.ledger import Ledger
from producer.queues import QUEUE_OF, Priority, state_key
from producer.state import JobState
from worker.courier import Courier

pytestmark = pytest.mark.service


@pytest.fixture
def courier(client) -> Courier:
    courier = Courier(client, 30)
    yield courier
    courier.close()


@pytest.fixture
def cut(monkeypatch) -> Callable[[Callable[[Any], bool]], threading.Event]:
    """Cuts a connection before the first reply that is such a one: Redis has done it by then."""

    def before(is_such: Callable[[Any], bool]) -> threading.Event:
        swallowed, read = threading.Event(), AbstractConnection.read_response

        def read_or_cut(connection: AbstractConnection, *given: Any, **named: Any) -> Any:
            reply = read(connection, *given, **named)
            if not swallowed.is_set() and is_such(reply):
                swallowed.set()
                raise ConnectionError("cut")
            return reply

        monkeypatch.setattr(AbstractConnection, "read_response", read_or_cut)
        return swallowed

    return before


def test_a_script_that_redis_has_forgotten_is_loaded_again_for_all_who_run_it(courier, client):
    script = courier.client.register_script("return {KEYS[1], ARGV[1]}")
    client.script_flush()

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda n: script(keys=["a"], args=[n]), range(200)))

    assert replies == [["a", str(n)] for n in range(200)]


def test_no_reply_is_lost_or_goes_astray_while_connections_are_cut(courier, client):
    over = threading.Event()

    def cut() -> None:
        while not over.wait(0.01):
            client.client_kill_filter(_type="normal", skipme=True)

    with ThreadPoolExecutor(16) as threads:
        cutting = threads.submit(cut)
        replies = list(threads.map(lambda n: courier.ask("ECHO", str(n)), range(2000)))
        over.set()
        cutting.result()

    assert replies == [str(n) for n in range(2000)]


def test_a_job_runs_through_a_ledger_that_asks_by_the_courier(courier):
    ledger, job = Ledger(courier.client, keep_s=60), SpeechJob(text="hi")
    job_id = ledger.create("j" * 32, job, 1.0)

    started = ledger.start(job_id, "w@test", 2.0, "token", "tag")
    ended = ledger.change(job_id, JobState.DONE, 3.0, token="token", chunks=1)

    assert (started, ended) == ((job.encode(), 0), True)
    assert (ledger.row(job_id).state, ledger.row(job_id).chunks) == (JobState.DONE, 1)
    assert ledger.counts()[JobState.DONE] == 1


def test_an_attempt_whose_first_reply_was_lost_asks_again_and_counts_once(farm, client, cut):
    ledger, job = farm.ledger, SpeechJob(text="hi")
    job_id = farm.submit(job.text).id

    swallowed = cut(lambda reply: isinstance(reply, list) and reply[:1] == ["queued"])
    started = ledger.start(job_id, "w@test", 2.0, "token", "tag")

    assert swallowed.is_set()
    row = ledger.row(job_id)
    assert started == (row.encoded, 0)
    assert (row.attempts, row.losses, row.state) == (1, 0, JobState.RUNNING)
    assert client.zscore(state_key(JobState.RUNNING), job_id) == 2.0


def test_another_attempt_at_a_running_job_is_still_one_more_and_a_loss(farm):
    ledger, job_id = farm.ledger, farm.submit("hi").id
    for token in ("first", "second"):
        ledger.start(job_id, "w@test", 2.0, token, "tag")

    assert (ledger.row(job_id).attempts, ledger.row(job_id).losses) == (2, 1)


def test_items_whose_first_reply_was_lost_are_written_again_and_counted_once(farm, cut):
    swallowed = cut(lambda reply: isinstance(reply, list) and len(reply) > PIECE)

    batch = farm.batch(["hi"] * (PIECE + 1))

    assert swallowed.is_set()
    row = batch.row()
    assert {state: n for state, n in row.counts.items() if n} == {
        JobState.WAITING_WINDOW: row.items
    }
    assert row.items == PIECE + 1
    assert row.total_s == pytest.approx(row.items * expected_s(SpeechJob(text="hi")), rel=0.01)


def test_a_retry_whose_reply_was_lost_is_one_and_says_so(farm, client, cut):
    job = farm.submit("hi")
    client.delete(QUEUE_OF[Priority.INTERACTIVE])
    farm.ledger.change(job.id, JobState.FAILED, 2.0, reason="internal")

    swallowed = cut(lambda reply: reply == "failed")

    assert job.retry()
    assert swallowed.is_set()
    assert job.row().state is JobState.QUEUED
    assert client.llen(QUEUE_OF[Priority.INTERACTIVE]) == 1
    assert not job.retry()
