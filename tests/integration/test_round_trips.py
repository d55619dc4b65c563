"""The courier and a real Redis: scripts, cut connections, and a server that comes back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from producer.job import SpeechJob
from producer.ledger import Ledger
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
