"""A broker whose memory is used up: clients are told, jobs go on, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from producer import BrokerFull, JobState, VoiceFarm
from producer.cli import run_voicefarm
from producer.heartbeats import heartbeats
from producer.queues import Beating
from tests.conftest import READY_TIMEOUT_S, eventually
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.service


@pytest.fixture
def broker(tmp_path) -> Iterator[ValkeyServer]:
    """A broker that refuses when it is full."""
    server = ValkeyServer(tmp_path / "server", "appendonly yes", "maxmemory-policy noeviction")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def admin(broker):
    """Who sets the broker's memory."""
    with broker.client() as client:
        yield client


@pytest.fixture
def own_farm(broker, home) -> Iterator[VoiceFarm]:
    """A client of that broker."""
    with VoiceFarm(broker.url, home=home) as farm:
        yield farm


@pytest.fixture
def worker(broker, own_farm, start_worker):
    """A worker of that broker, ready."""
    process = start_worker(ready=False, broker_url=broker.url, slots=2, fake_speed=3, lease_s=5)
    eventually(
        lambda: own_farm.workers(0.5).get("w@test", {}).get("state") == "ready", READY_TIMEOUT_S
    )
    return process


def rows(admin) -> int:
    return len(admin.keys("voicefarm:job:*"))


def test_a_full_broker_tells_clients_and_the_jobs_in_it_are_done(
    broker, admin, own_farm, worker, home, capsys
):
    jobs = own_farm.submit_many(f"line number {n}, spoken slowly" for n in range(12))
    eventually(lambda: jobs[0].status is JobState.RUNNING)
    admin.config_set("maxmemory", 1)
    known = rows(admin)

    with pytest.raises(BrokerFull, match="nothing of this was queued"):
        own_farm.submit("One more line", idempotency_key="once")
    with pytest.raises(BrokerFull):
        own_farm.submit_many(["One more line", "Another line"])
    code = run_voicefarm(["submit", "Hello", "--broker", broker.url, "--home", str(home)])
    told = capsys.readouterr().err
    assert (code, "raise its maxmemory" in told) == (3, True)
    assert rows(admin) == known

    # Whoever lost its connection must get back in, too.
    admin.client_kill_filter(_type="normal", skipme=True)
    assert jobs[-1].cancel()
    ends = [job.wait(60) for job in jobs]
    assert ends == [JobState.DONE] * 11 + [JobState.CANCELLED]
    assert worker.process.poll() is None

    admin.config_set("maxmemory", 0)
    again = own_farm.submit("One more line", idempotency_key="once")
    assert again.wait(60) is JobState.DONE
    assert len(list((home / "processed").glob("??/*/audio.wav"))) == 12


def test_a_worker_that_starts_while_the_broker_is_full_does_what_is_in_it(
    broker, admin, own_farm, start_worker
):
    jobs = own_farm.submit_many(f"line number {n}" for n in range(8))
    admin.config_set("maxmemory", 1)

    worker = start_worker(ready=False, broker_url=broker.url)

    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 8
    assert {voice.engine for voice in own_farm.voices().voices} == {"fake"}
    assert list(heartbeats(admin, Beating.WORKER)) == ["w@test"]
    assert worker.process.poll() is None


def test_jobs_without_room_for_their_messages_are_taken_back(broker, admin, own_farm, monkeypatch):
    send = own_farm.broker.send

    def full_from_now_on(jobs):
        admin.config_set("maxmemory", 1)
        send(jobs)

    monkeypatch.setattr(own_farm.broker, "send", full_from_now_on)

    with pytest.raises(BrokerFull):
        own_farm.submit("A line of text", idempotency_key="once")
    admin.config_set("maxmemory", 0)
    with pytest.raises(BrokerFull):
        own_farm.submit_many(["A line of text", "Another line"])

    assert rows(admin) == 0
    assert admin.keys("voicefarm:state:*") == []
    assert admin.keys("voicefarm:idempotency:*") == []


def test_a_worker_warns_of_a_broker_that_may_lose_what_it_has(broker, admin, start_worker):
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.config_set("appendonly", "no")

    worker = start_worker(ready=False, broker_url=broker.url)

    eventually(lambda: "set it to noeviction" in worker.log, 60)
    eventually(lambda: "appendonly is off" in worker.log)
