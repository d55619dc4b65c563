"""A broker that Sentinels name: all follow the master, and what was acknowledged outlives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from flower.utils.broker import Broker as FlowerBroker

from producer import AsyncVoiceFarm, BrokerUnavailable, JobState, Unacknowledged, VoiceFarm
from producer.address import Address
from producer.queues import QUEUE_OF, Priority
from tests.conftest import READY_TIMEOUT_S, eventually
from tests.integration.fault_report import file_row
from tests.sentinel_group import DOWN_AFTER_MS, SentinelGroup
from worker.celery_settings import celery_settings
from worker.config import WorkerSettings

pytestmark = pytest.mark.service

INTERACTIVE = QUEUE_OF[Priority.INTERACTIVE]

#: From the first look at the new master to the next job that is done.
RESUMED_S = 15.0


@pytest.fixture
def group(tmp_path) -> Iterator[SentinelGroup]:
    """A master, a replica and three Sentinels."""
    group = SentinelGroup(tmp_path / "group")
    try:
        group.start()
        yield group
    finally:
        group.stop()


@pytest.fixture
def sentinel_farm(group, home) -> Iterator[VoiceFarm]:
    """A client that knows the Sentinels alone."""
    with VoiceFarm(group.url, home=home) as farm:
        yield farm


def done(farm: VoiceFarm) -> int:
    """How many jobs are done; -1 while there is no master to tell."""
    try:
        return farm.counts()[JobState.DONE]
    except BrokerUnavailable:
        return -1


async def awaited(url: str, home, text: str) -> JobState:
    farm = AsyncVoiceFarm(url, home=home)
    try:
        return await (await farm.submit(text)).wait(60)
    finally:
        await farm.aclose()


async def flower_queues(url: str, home) -> dict[str, int]:
    """What Flower's page of queues says."""
    settings = celery_settings(WorkerSettings.load(home=home), Address.of(url))
    options = settings["broker_transport_options"]
    flower = FlowerBroker(Address.of(url).celery_url, broker_options=options)
    return {queue["name"]: queue["messages"] for queue in await flower.queues([INTERACTIVE])}


def test_a_master_that_is_killed_in_the_middle_takes_no_job_along(
    group, sentinel_farm, start_worker, home
):
    start_worker(ready=False, broker_url=group.url, slots=4, fake_speed=8, lease_s=10)
    eventually(
        lambda: sentinel_farm.workers(0.5).get("w@test", {}).get("state") == "ready",
        READY_TIMEOUT_S,
    )
    jobs = sentinel_farm.submit_many(f"line number {n:02}, spoken slowly" for n in range(60))
    eventually(lambda: done(sentinel_farm) > 4)

    killed, killed_s = group.master(), time.monotonic()
    killed.kill()
    eventually(lambda: group.master() is not killed, 60)
    eventually(lambda: done(sentinel_farm) >= 0)
    before = done(sentinel_farm)
    assert 0 <= before < 60
    eventually(lambda: done(sentinel_farm) > before, RESUMED_S)
    resumed_s = time.monotonic() - killed_s

    killed.start()
    eventually(group.is_whole, 60)
    assert [job.wait(90) for job in jobs] == [JobState.DONE] * 60
    assert asyncio.run(awaited(group.url, home, "a line after it all")) is JobState.DONE
    assert len({job.result().path for job in jobs}) == 60
    assert len(list((home / "processed").glob("??/*/audio.wav"))) == 61
    rerun = sum(job.row().attempts > 1 for job in jobs)
    name = f"master killed under Sentinels that wait {DOWN_AFTER_MS / 1000:g} s"
    file_row(name, tried=60, lost=0, twice=0, rerun=rerun, seconds=resumed_s)


def test_a_submit_that_no_replica_has_is_told_and_can_be_sent_again(
    group, sentinel_farm, home, monkeypatch
):
    master = group.master()
    [replica] = [server for server in group.servers if server is not master]
    replica.kill()

    with pytest.raises(Unacknowledged, match="0 of 1 replicas") as first:
        sentinel_farm.submit("A line of text", idempotency_key="once")
    with pytest.raises(Unacknowledged) as many:
        sentinel_farm.submit_many(["Another line", "And one more"])
    with monkeypatch.context() as patch:
        patch.setenv("VOICEFARM_MIN_REPLICAS", "0")
        with VoiceFarm(group.url, home=home) as careless:
            assert careless.submit("A line that may get lost").status is JobState.QUEUED
    replica.start()
    eventually(group.is_whole, 60)
    job = sentinel_farm.submit("A line of text", idempotency_key="once")

    assert asyncio.run(flower_queues(group.url, home)) == {"speech.interactive": 2}
    assert first.value.job_ids == (job.id,)
    assert len(many.value.job_ids) == 2
    assert sentinel_farm.counts()[JobState.QUEUED] == 4
