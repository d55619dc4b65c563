"""Round trips to a real Redis: scripts, cut connections, and what is asked a second time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from producer.backlog import expected_s
from producer.batch.account import new_batch_id
from producer.batch.ledger import BatchLedger
from producer.batch.reading import Item
from producer.batch.schedule import Schedule
from producer.job import SpeechJob
from producer.ledger import Ledger
from producer.queues import state_key
from producer.state import JobState
from worker.courier import Courier

pytestmark = pytest.mark.service


@pytest.fixture
def courier(client) -> Courier:
    courier = Courier(client, 30)
    yield courier
    courier.close()


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


def test_an_attempt_whose_first_reply_was_lost_asks_again_and_counts_once(farm, client):
    ledger, job_id = farm.ledger, farm.submit("hi").id
    asked = [ledger.start(job_id, "w@test", 2.0, "token", "tag") for _ in range(3)]

    row = ledger.row(job_id)
    assert asked[1:] == asked[:1] * 2
    assert (row.attempts, row.losses, row.state) == (1, 0, JobState.RUNNING)
    assert client.zscore(state_key(JobState.RUNNING), job_id) == 2.0


def test_another_attempt_at_a_running_job_is_still_one_more_and_a_loss(farm):
    ledger, job_id = farm.ledger, farm.submit("hi").id
    for token in ("first", "second"):
        ledger.start(job_id, "w@test", 2.0, token, "tag")

    assert (ledger.row(job_id).attempts, ledger.row(job_id).losses) == (2, 1)


def test_items_that_are_written_again_after_a_cut_are_counted_once(client):
    ledger, batch_id = BatchLedger(client, keep_s=60), new_batch_id()
    job = SpeechJob(text="hi")
    items = [Item("a line", f"item-{n}", job) for n in range(3)]
    ledger.open(batch_id, "book", "me", Schedule(), 1.0)

    for first, piece in ((0, items[:2]), (0, items[:2]), (2, items[2:]), (2, items[2:])):
        ledger.write(batch_id, first, piece, 2.0)

    row = ledger.row(batch_id)
    assert (row.items, row.counts[JobState.WAITING_WINDOW], sum(row.counts.values())) == (3, 3, 3)
    assert row.total_s == pytest.approx(3 * expected_s(job), abs=0.002)
