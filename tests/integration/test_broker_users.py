"""Users of a shared broker: each can do its work, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError

from producer import BrokerRefused, JobState, VoiceFarm
from producer.access import Role, user_line
from producer.queues import CATALOGUE_KEY, QUEUE_OF, Priority, job_key, state_key
from tests.conftest import CHECKOUT, READY_TIMEOUT_S, eventually
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.service

BATCH = QUEUE_OF[Priority.BATCH]


@pytest.fixture
def broker(tmp_path) -> Iterator[ValkeyServer]:
    """A broker whose users are the roles, each with its name as password."""
    users = tmp_path / "users.acl"
    lines = [user_line(role, role.value) for role in Role]
    users.write_text("\n".join(["user default off", *lines, ""]))
    server = ValkeyServer(tmp_path / "server", f"aclfile {users}")
    server.start()
    yield server
    server.kill()


def url(broker: ValkeyServer, role: Role) -> str:
    return broker.url.replace("127.0.0.1", f"{role}:{role}@127.0.0.1")


@pytest.fixture
def farm_of(broker, home) -> Iterator[Callable[[Role], VoiceFarm]]:
    """A client of a role."""
    farms: list[VoiceFarm] = []

    def of(role: Role) -> VoiceFarm:
        farms.append(VoiceFarm(url(broker, role), home=home))
        return farms[-1]

    yield of
    for farm in farms:
        farm.close()


@pytest.fixture
def client_of(broker) -> Iterator[Callable[[Role], redis.Redis]]:
    """A bare client of a role."""
    clients: list[redis.Redis] = []

    def of(role: Role) -> redis.Redis:
        clients.append(broker.client(username=role.value, password=role.value))
        return clients[-1]

    yield of
    for client in clients:
        client.close()


@pytest.fixture
def worker(broker, farm_of, start_worker) -> object:
    """A worker that logs in as one."""
    process = start_worker(
        ready=False, broker_url=url(broker, Role.WORKER), slots=1, fake_speed=2, lease_s=3
    )
    monitor = farm_of(Role.MONITOR)
    eventually(
        lambda: monitor.workers(0.5).get("w@test", {}).get("state") == "ready", READY_TIMEOUT_S
    )
    return process


def test_each_role_does_its_work_and_nothing_is_refused(worker, broker, farm_of, client_of):
    admin, producer, monitor = client_of(Role.ADMIN), farm_of(Role.PRODUCER), farm_of(Role.MONITOR)

    job = producer.submit("A line that is spoken", idempotency_key="once")
    assert producer.submit("A line that is spoken", idempotency_key="once").id == job.id
    assert job.wait(60) is JobState.DONE
    assert job.result(1).path.is_file()
    assert {voice.engine for voice in producer.voices().voices} == {"fake"}
    jobs = producer.submit_many(f"line number {n}, spoken slowly" for n in range(8))
    eventually(lambda: jobs[0].status is not JobState.QUEUED)
    refused_before = admin.acl_log()
    assert all(job.cancel() for job in jobs[-2:])
    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 6 + [JobState.CANCELLED] * 2

    assert monitor.counts() == producer.counts()
    assert "w@test" in monitor.overview().workers
    assert monitor.decisions() == []
    assert len(monitor.recent()) == 9
    assert monitor.job(job.id).status is JobState.DONE
    for command in ("gpu_ready", "stats", "active_queues"):
        assert "w@test" in inspected(broker, command)
    refused = {(entry["username"], entry["object"]) for entry in admin.acl_log()}
    # The one try to reach the worker by the control channel, which the row replaces.
    assert refused_before == []
    assert refused == {("producer", "/0.celery.pidbox")}


def inspected(broker: ValkeyServer, command: str) -> dict[str, Any]:
    """What `celery inspect` answers to a monitor."""
    ran = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "inspect", command, "--json",
         "--timeout=10", "-d", "w@test"],
        cwd=CHECKOUT,
        env={**os.environ, "VOICEFARM_BROKER_URL": url(broker, Role.MONITOR)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_a_failed_job_is_retried_by_a_producer(farm_of):
    producer, worker = farm_of(Role.PRODUCER), farm_of(Role.WORKER)
    job = producer.submit("A line")
    worker.ledger.change(job.id, JobState.FAILED, 1.0, reason="internal", detail="it broke")

    assert job.retry()

    assert job.status is JobState.QUEUED


#: What a role must not do, as commands.
FORBIDDEN = {
    Role.PRODUCER: [
        ("BRPOP", BATCH, "1"),
        ("RPOP", BATCH),
        ("LRANGE", BATCH, "0", "-1"),
        ("GET", "somebody:else"),
        ("SET", "somebody:else", "1"),
        ("HSET", CATALOGUE_KEY, "fake", "{}"),
        ("HGETALL", "unacked"),
        ("EVAL", "return redis.call('RPOP', KEYS[1])", "1", BATCH),
        ("EVAL", "return redis.call('GET', 'somebody:else')", "0"),
        ("PUBLISH", "/0.celery.pidbox", "{}"),
        ("PSUBSCRIBE", "*"),
    ],
    Role.WORKER: [
        ("GET", "somebody:else"),
        ("EVAL", "return redis.call('GET', 'somebody:else')", "0"),
        ("SUBSCRIBE", "somebody:else"),
    ],
    Role.MONITOR: [
        ("LPUSH", BATCH, "{}"),
        ("RPOP", BATCH),
        ("BRPOP", BATCH, "1"),
        ("DEL", job_key("a")),
        ("HSET", job_key("a"), "state", "done"),
        ("ZADD", state_key("done"), "1", "a"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", "1", job_key("a")),
        ("GET", "somebody:else"),
        ("SUBSCRIBE", "somebody:else"),
    ],
}

#: What nobody but the admin does.
SERVER = [
    *(("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "requirepass"), ("SHUTDOWN", "NOSAVE")),
    *(("ACL", "LIST"), ("ACL", "SETUSER", "x"), ("KEYS", "*"), ("SAVE",), ("MONITOR",)),
    *(("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal")),
    *(("SCRIPT", "FLUSH"), ("REPLICAOF", "NO", "ONE"), ("MODULE", "LIST")),
]


@pytest.mark.parametrize("role", FORBIDDEN)
def test_what_is_not_a_roles_work_is_refused(role, client_of):
    client = client_of(role)

    allowed = []
    for command in (*FORBIDDEN[role], *SERVER):
        try:
            client.execute_command(*command)
            allowed.append(command)
        except redis.exceptions.NoPermissionError:
            pass
        except redis.exceptions.ResponseError as error:
            assert "ACL failure in script" in str(error)

    assert allowed == []


def test_a_scaler_learns_how_long_a_queue_is_and_nothing_else(client_of):
    client_of(Role.ADMIN).lpush(BATCH, "one", "two")
    scaler = client_of(Role.SCALER)

    # KEDA asks in one script, for the kind of the key first.
    script = "return {redis.call('type', KEYS[1]).ok, redis.call('llen', KEYS[1])}"
    answer = scaler.eval(script, 1, BATCH)

    assert [part.decode() if isinstance(part, bytes) else part for part in answer] == ["list", 2]
    for order in ("lrange', KEYS[1], 0, -1", "rpop', KEYS[1]", "lpush', KEYS[1], 'x'"):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            scaler.eval(f"return redis.call('{order})", 1, BATCH)
    with pytest.raises(redis.exceptions.NoPermissionError):
        scaler.hgetall(job_key("a"))


def test_a_producer_can_not_shut_a_worker_down(worker, farm_of):
    producer = farm_of(Role.PRODUCER)

    with pytest.raises(OperationalError, match="No permissions"):
        producer.broker.celery.control.shutdown()

    assert worker.process.poll() is None
    assert producer.submit("A line that is spoken").wait(60) is JobState.DONE


def test_a_worker_that_only_answers_obeys_no_order_of_a_monitor(broker, farm_of, start_worker):
    worker = start_worker(
        ready=False,
        broker_url=url(broker, Role.WORKER),
        slots=1,
        fake_speed=0.02,
        remote_control="inspect",
    )
    monitor = farm_of(Role.MONITOR)
    eventually(
        lambda: monitor.workers(0.5).get("w@test", {}).get("state") == "ready", READY_TIMEOUT_S
    )
    control = monitor.broker.celery.control
    threads = inspected(broker, "stats")["w@test"]["pool"]["max-concurrency"]
    job = farm_of(Role.PRODUCER).submit("A line that is spoken slowly")
    eventually(lambda: job.status is JobState.RUNNING)

    control.pool_shrink(60)
    control.cancel_consumer(BATCH)
    control.shutdown()
    # It came behind the orders, on the same channel.
    pool = inspected(broker, "stats")["w@test"]["pool"]
    queues = {queue["name"] for queue in inspected(broker, "active_queues")["w@test"]}
    control.revoke(job.id, terminate=True)

    assert job.wait(60) is JobState.CANCELLED
    assert pool["max-concurrency"] == threads
    assert BATCH in queues
    assert worker.process.poll() is None


def test_who_is_refused_is_told_so_and_not_that_nobody_answers(farm_of, broker, home):
    with pytest.raises(BrokerRefused, match="broker acl"):
        farm_of(Role.PRODUCER).workers()
    with (
        VoiceFarm(broker.url.replace("127", "producer:guessed-password@127"), home=home) as farm,
        pytest.raises(BrokerRefused, match=r"WRONGPASS|invalid username") as refused,
    ):
        farm.counts()
    with VoiceFarm(broker.url, home=home) as farm, pytest.raises(BrokerRefused):
        farm.counts()

    assert "guessed-password" not in str(refused.value)
