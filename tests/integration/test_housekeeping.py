"""Housekeeping with a real ledger: what goes, what stays, and who does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from producer import JobState
from producer.batch.account import job_id_of
from producer.batch.ledger import BatchLedger
from producer.content_key import content_key
from producer.job import ConvertJob, RvcSettings
from producer.queues import HOUSEKEEPING_KEY, state_key
from producer.volumes import Volumes
from tests.conftest import CHECKOUT, eventually
from worker.caretaker import Caretaker
from worker.config import WorkerSettings
from worker.housekeeper import Housekeeper

pytestmark = pytest.mark.service

DAY_S = 86400.0


@pytest.fixture
def volumes(home) -> Volumes:
    """The farm's directories, empty."""
    volumes = Volumes(home)
    volumes.make()
    (volumes.processed / ".staging").mkdir()
    return volumes


def aged(path: Path, days: float, content: bytes = b"0123456789") -> Path:
    """A file of so many days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then_s = time.time() - days * DAY_S
    for touched in (path, path.parent):
        os.utime(touched, (then_s, then_s))
    return path


def aged_entry(volumes: Volumes, days: float) -> Path:
    """An entry of `processed`, used so many days ago."""
    directory = volumes.entry(content_key(days=days))
    aged(directory / "audio.wav", days, b"a" * 90)
    return aged(directory / "job.json", days).parent


def upload_path(volumes: Volumes, key: str) -> Path:
    return volumes.uploads / key[:2] / key


def housekeeper(home, client, **settings) -> Housekeeper:
    return Housekeeper(WorkerSettings.load(home=home, **settings), client)


def test_what_dead_processes_left_goes_and_what_is_written_to_stays(volumes, home, client):
    dead = aged(volumes.processed / ".staging" / "dead" / "audio.wav", 2)
    live = aged(volumes.processed / ".staging" / "live" / "audio.wav", 0.5)
    scratch = aged(volumes.temp / "attempt" / "piece", 2)
    part = aged(volumes.uploads / ".abc.part", 2)

    removed = {(gone.kind, gone.name) for gone in housekeeper(home, client).sweep()}

    assert removed == {("staging", "dead"), ("temp", "attempt"), ("part", ".abc.part")}
    assert not any(path.exists() for path in (dead, scratch, part))
    assert live.exists()


def test_an_old_upload_stays_while_a_job_may_need_it(volumes, home, client, farm):
    waiting, failed, unknown, fresh = (content_key(upload=n) for n in range(4))
    for key, days in ((waiting, 40), (failed, 40), (unknown, 40), (fresh, 20)):
        aged(upload_path(volumes, key), days)
    rvc = RvcSettings(voice="anna")
    for n, upload in enumerate((waiting, failed)):
        farm.ledger.create(f"{n:032}", ConvertJob(upload=upload, convert=rvc), time.time())
    farm.ledger.change(f"{1:032}", JobState.FAILED, time.time(), reason="internal")

    removed = [(gone.kind, gone.name) for gone in housekeeper(home, client).sweep()]

    assert removed == [("upload", unknown)]
    assert all(upload_path(volumes, key).exists() for key in (waiting, failed, fresh))


def test_processed_is_kept_below_its_budget_and_new_files_are_spared(volumes, home, client):
    entries = {days: aged_entry(volumes, days) for days in (9, 5, 3, 0.1)}

    def swept(**settings) -> list[str]:
        return [gone.name for gone in housekeeper(home, client, **settings).sweep()]

    assert swept() == []
    assert swept(processed_budget_bytes=250) == [entries[9].name, entries[5].name]
    assert swept(processed_budget_bytes=0) == [entries[3].name]
    assert entries[0.1].exists()


def test_takes_are_kept_below_their_budget(volumes, home, client):
    keys = {days: content_key(take=days) for days in (9, 5, 3)}
    for days, key in keys.items():
        aged(volumes.take(key), days, b"t" * 100)

    def swept(budget_bytes: int) -> list[str]:
        takes = housekeeper(home, client, takes_budget_bytes=budget_bytes)
        return [gone.name for gone in takes.sweep()]

    assert swept(300) == []
    assert swept(150) == [keys[9], keys[5]]
    assert swept(0) == [keys[3]]


def test_what_a_batch_has_stays_until_the_batch_has_ended_and_a_while_longer(
    volumes, home, client, farm
):
    entry, other = aged_entry(volumes, 9), aged_entry(volumes, 8)
    batch = farm.batch(["A line of text", "Another line"])
    first = job_id_of(batch.id, 0)
    farm.ledger.change(first, JobState.QUEUED, time.time())
    farm.ledger.change(first, JobState.DONE, time.time(), key=entry.name)

    def swept(**settings) -> list[str]:
        sweep = housekeeper(home, client, processed_budget_bytes=0, **settings).sweep()
        return [gone.name for gone in sweep]

    assert swept() == [other.name]
    assert entry.exists()
    farm.ledger.change(job_id_of(batch.id, 1), JobState.CANCELLED, time.time())
    BatchLedger(client, keep_s=1000).retire(batch.id)
    assert swept() == []
    then_s = time.time() - 2 * DAY_S
    os.utime(entry / "job.json", (then_s, then_s))
    assert swept() == [entry.name]


def test_ids_of_rows_that_have_expired_leave_the_indexes(volumes, home, client, farm):
    now_s = time.time()
    client.zadd(state_key("done"), {"a": now_s - 31 * DAY_S, "b": now_s - 29 * DAY_S})
    client.zadd(state_key("queued"), {"c": now_s - 99 * DAY_S})

    told = [gone.name for gone in housekeeper(home, client).sweep()]

    assert told == ["1 done"]
    assert client.zrange(state_key("done"), 0, -1) == ["b"]
    assert client.zcard(state_key("queued")) == 1


def test_a_dry_run_tells_the_same_and_removes_nothing(volumes, home, client, redis_url):
    aged(volumes.temp / "attempt" / "piece", 2)
    client.zadd(state_key("done"), {"a": 1.0})
    log = volumes.logs / "broker.log"
    log.write_bytes(b"a" * 2_000)

    def said(*flags: str) -> list[tuple[str, str]]:
        ran = subprocess.run(
            [sys.executable, "-m", "producer", "gc", "--json", *flags],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "VOICEFARM_BROKER_URL": redis_url,
                "VOICEFARM_HOME": str(home),
                "VOICEFARM_LOG_MAX_BYTES": "1000",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        rows = map(json.loads, ran.stdout.splitlines())
        return [(row["kind"], row["name"]) for row in rows]

    planned = said("--dry-run")

    assert planned == [("temp", "attempt"), ("log", "broker.log"), ("row", "1 done")]
    assert (volumes.temp / "attempt").exists()
    assert log.stat().st_size == 2_000
    assert said() == planned
    assert said() == []
    assert log.stat().st_size == 0


def test_one_of_many_does_it_and_not_again_before_the_next_time(volumes, home, client):
    caretakers = [Caretaker(client, housekeeper(home, client), 3600) for _ in range(3)]

    turns = [caretaker.turn(f"w{n}@test") for n, caretaker in enumerate(caretakers * 2)]

    assert turns == [True, False, False, False, False, False]
    assert client.get(HOUSEKEEPING_KEY) == "w0@test"
    assert 3500 < client.ttl(HOUSEKEEPING_KEY) <= 3600


def test_a_running_worker_does_the_housekeeping_and_its_jobs_keep_their_files(
    volumes, start_worker, farm
):
    old = aged_entry(volumes, 3)
    worker = start_worker(gc_s=0.5, processed_budget_bytes=0)
    jobs = farm.submit_many(f"line number {n}" for n in range(20))

    assert [job.wait(60) for job in jobs] == [JobState.DONE] * 20
    eventually(lambda: not old.exists())

    assert all(job.path.is_file() for job in jobs)
    assert "housekeeping: 1 processed" in worker.log
