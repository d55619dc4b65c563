"""A broker that cuts its connections, dies and comes back: no job is lost, none runs twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from evidence import LEASE_S, assert_settled

from producer import BrokerUnavailable, JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.conftest import eventually

pytestmark = [pytest.mark.service, pytest.mark.slow]

#: How long the broker stays away, and how soon work must go on when it is back.
AWAY_S = 5.0
RESUME_S = 15.0


def test_twenty_cuts_of_every_connection_run_nothing_twice(worker, farm, client, journal, report):
    worker(fake_speed=0.4)
    began_s = time.monotonic()
    jobs = farm.submit_many(f"line number {n:02}" for n in range(48))
    eventually(lambda: journal.begun())

    for _ in range(20):
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
        time.sleep(0.4)

    assert [job.wait(120) for job in jobs] == [JobState.DONE] * 48
    took_s = time.monotonic() - began_s
    assert_settled(farm, jobs)
    assert set(journal.begun().values()) == {1}
    assert {job.row().attempts for job in jobs} == {1}
    report("every connection cut, 20 times", tried=48, lost=0, twice=0, rerun=0, seconds=took_s)


class Server:
    """A broker of this test's own, with its append-only file on."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._broker = EmbeddedBroker(home)
        self.url = self._broker.start()

    def kill(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self._broker.alive)

    def start(self) -> None:
        self._broker = EmbeddedBroker(self._home)
        assert self._broker.start() == self.url

    def stop(self) -> None:
        self._broker.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    server.stop()


@pytest.fixture
def redis_url(server: Server) -> str:
    return server.url


class Client:
    """Submits one job after the other, and knows which of them were acknowledged."""

    def __init__(self, farm: VoiceFarm) -> None:
        self._farm = farm
        self.acknowledged: list[str] = []
        self.refused = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._closing.wait(0.05):
            number += 1
            try:
                job = self._farm.submit(f"line number {number:04}", priority="batch")
            except BrokerUnavailable:
                self.refused += 1
            else:
                self.acknowledged.append(job.id)


def test_a_broker_that_is_killed_and_comes_back_loses_nothing_that_it_acknowledged(
    worker, farm, server, journal, report
):
    worker(fake_speed=1)
    client = Client(farm)
    eventually(lambda: len(journal.ended()) > 10)

    server.kill()
    time.sleep(AWAY_S)
    done_before = len(journal.ended())
    server.start()
    back_s = time.monotonic()
    eventually(lambda: len(journal.ended()) > done_before + 8, RESUME_S + 30)
    resumed_s = time.monotonic() - back_s
    time.sleep(2)
    client.close()

    # A job whose submit was refused may have its row all the same: it is done too.
    eventually(lambda: sum(n for state, n in farm.counts().items() if not state.is_final) == 0, 90)
    jobs = farm.recent(JobState.DONE, 10_000)
    assert set(client.acknowledged) <= {row.id for row in jobs}
    assert_settled(farm, [farm.job(row.id) for row in jobs])
    assert client.refused
    assert resumed_s < RESUME_S
    rerun = sum(n > 1 for n in journal.begun().values())
    name = f"broker killed, back after {AWAY_S:g} s"
    report(name, tried=len(jobs), lost=0, twice=0, rerun=rerun, seconds=resumed_s)


def test_a_job_of_three_leases_with_a_drain_in_the_middle_runs_once(worker, farm, journal, report):
    draining = worker("draining", slots=1, fake_speed=0.05, drain_s=300)
    job = farm.submit_many(["a long, long, long, long line"])[0]
    began_s = time.monotonic()
    eventually(lambda: journal.begun())
    worker("idle")
    time.sleep(1)

    assert draining.stop(timeout_s=120) == 0

    took_s = time.monotonic() - began_s
    assert took_s > 3 * LEASE_S or LEASE_S > 10
    assert (job.status, job.row().node) == (JobState.DONE, "draining@test")
    assert_settled(farm, [job])
    assert journal.begun() == {job.id: 1}
    report("a job of 3 leases, drained", tried=1, lost=0, twice=0, rerun=0, seconds=took_s)
