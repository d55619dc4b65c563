"""Nights in fast motion: 2,000 items in three of them; workers die, the broker restarts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import redis

from producer import BrokerUnavailable, JobState, VoiceFarm
from producer.batch.handle import Batch
from producer.batch.schedule import Schedule
from producer.batch.window import Window
from tests.conftest import READY_TIMEOUT_S, WorkerProcess, eventually
from tests.valkey_server import ValkeyServer
from worker import election
from worker.dispatcher import Dispatcher

pytestmark = [pytest.mark.service, pytest.mark.slow]

UTC = ZoneInfo("UTC")

ITEMS = 2_000
NIGHTS = 3

#: How long a night may take of real time; it takes a few seconds on an idle machine.
PATIENCE_S = 180.0


class Office:
    """The dispatcher of the farm, which lives by our clock; no worker's own comes into office."""

    def __init__(self, farm: VoiceFarm, now_s: float) -> None:
        self.dispatcher = Dispatcher(farm.broker.redis, farm.broker.send_encoded, keep_s=86_400)
        self.dispatcher.elect("the test", "office@test")
        self._now_s = now_s
        self._round = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def set_clock(self, at: datetime) -> None:
        """Have it be that time, in whatever is done from now on."""
        with self._round:
            self._now_s = at.timestamp()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(0.1):
            try:
                with self._round:
                    self.dispatcher.round(self._now_s)
            except (redis.RedisError, BrokerUnavailable):
                time.sleep(0.1)  # the broker restarts


@pytest.fixture(autouse=True)
def _stays_in_office(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may stand still for longer than the five seconds of the office's lock."""
    monkeypatch.setattr(election, "LOCK_S", 600.0)


@pytest.fixture
def server(tmp_path) -> Iterator[ValkeyServer]:
    """A broker of this test alone, which writes down all it does."""
    server = ValkeyServer(tmp_path / "broker", "appendonly yes", "appendfsync always")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def night_farm(server, home) -> Iterator[VoiceFarm]:
    with VoiceFarm(server.url, home=home) as farm:
        yield farm


@pytest.fixture
def hire(server, home, night_farm, tmp_path):
    """Start workers: `hire("one")`; all of them end with the test."""
    hired: list[WorkerProcess] = []

    def start(name: str) -> WorkerProcess:
        environment = {
            **os.environ,
            "VOICEFARM_BROKER_URL": server.url,
            "VOICEFARM_HOME": str(home),
            "VOICEFARM_ENGINE": "fake",
            "VOICEFARM_SLOTS": "8",
            # A job takes some tenths of a second, so that a kill meets some that run.
            "VOICEFARM_FAKE_SPEED": "20",
            "VOICEFARM_LEASE_S": "3",
        }
        worker = WorkerProcess(environment, tmp_path / f"{name}.log", "-n", f"{name}@test")
        hired.append(worker)
        eventually(
            lambda: night_farm.workers(0.3).get(f"{name}@test", {}).get("state") == "ready",
            READY_TIMEOUT_S,
        )
        return worker

    yield start
    for worker in hired:
        worker.process.kill()
        worker.process.wait()


def answers(server: ValkeyServer) -> bool:
    """True once it has read its data again."""
    try:
        return bool(server.client().ping())
    except redis.ConnectionError:
        return False


def ended(batch: Batch) -> int:
    return batch.row().ended


def in_hand(batch: Batch) -> int:
    counts = batch.row().counts
    return counts[JobState.QUEUED] + counts[JobState.RUNNING]


def test_three_nights_with_deaths_and_a_restart_leave_every_item_answered_once(
    server, night_farm, hire
):
    # given: a batch that may run at night only, in the afternoon
    # (one that is over: what is not yet complete an hour after it was written is given up; and the
    # true hour is by day, for should a worker's own dispatcher ever come into office)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    dusk, dawn = hour + timedelta(hours=6), hour + timedelta(hours=15)
    office = Office(night_farm, (hour - timedelta(hours=1)).timestamp())
    eventually(lambda: night_farm.broker.redis.exists("voicefarm:dispatcher"))
    workers = [hire("one"), hire("two")]
    window = Schedule(Window.parse(f"{dusk:%H:%M}-{dawn:%H:%M}", UTC))
    batch = night_farm.batch((f"Item {n} of a night." for n in range(ITEMS)), schedule=window)
    nights: list[tuple[float, float]] = []

    # when: three nights pass, and in each a worker dies
    for night in range(NIGHTS):
        assert in_hand(batch) == 0
        office.set_clock(dusk + timedelta(days=night))
        begun_s, before = time.time(), ended(batch)
        goal = ITEMS if night == NIGHTS - 1 else (night + 1) * ITEMS // NIGHTS
        eventually(lambda before=before: ended(batch) > before + 50, PATIENCE_S)
        workers[night % 2].process.kill()
        workers[night % 2] = hire(f"night{night}")
        if night == 1:
            server.kill()
            server.start()
            eventually(lambda: answers(server))
        eventually(lambda goal=goal: ended(batch) >= goal, PATIENCE_S)
        office.set_clock(dawn + timedelta(days=night))
        eventually(lambda: in_hand(batch) == 0, PATIENCE_S)
        nights.append((begun_s, time.time()))
        # ... and the day is quiet
        morning = ended(batch)
        time.sleep(1.0)
        assert (ended(batch), in_hand(batch)) == (morning, 0)
    office.close()

    # then: every item was answered once, inside a night, and the files prove it
    told = batch.report()
    assert told.adds_up
    assert dict(told.counts) == {"done": ITEMS}
    assert batch.verify() == []
    lines = list(batch.results())
    assert [line["number"] for line in lines] == list(range(ITEMS))
    assert len({Path(line["path"]) for line in lines}) == ITEMS
    outside = [
        line["number"]
        for line in lines
        if not any(begun <= line["ended_at_s"] <= over for begun, over in nights)
    ]
    assert outside == []
