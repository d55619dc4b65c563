"""What really happened, from where no fault reaches: a journal on disk, and what Redis told."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import redis

from producer import Job, JobState, VoiceFarm
from producer.job import AudioFormat
from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY, QUEUE_OF, changes_channel
from producer.volumes import Volumes
from tests.conftest import eventually
from worker.durability import GroupCommit, sync_of
from worker.store import STAGING, Store

#: Of all workers here; `docs/reliability.md` was also measured at the real 90 s.
LEASE_S = float(os.environ.get("FAULTS_LEASE_S", "10"))

#: What a fault that takes a worker may cost: its lease, and this.
RECOVERY_S = 15.0

#: Longer than a worker takes for what is left of a queue when its jobs have ended.
PATIENCE_S = 60.0


class Journal:
    """The fake engine's own record of every chunk: jobs of these tests have one each."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def begun(self) -> Counter[str]:
        """How often each job's chunk began to be computed."""
        return self._count("begin")

    def chunks_begun(self) -> Counter[str]:
        """How often each chunk of each job began to be computed, by whatever attempt."""
        return Counter(f"{job}.{place}" for job, _, place in self._names("begin"))

    def ended(self) -> Counter[str]:
        """How often its audio was made."""
        return self._count("end")

    def _count(self, what: str) -> Counter[str]:
        return Counter(job for job, _, _ in self._names(what))

    def _names(self, what: str) -> list[list[str]]:
        """Job, attempt and place in the job."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        entries = (line.split() for line in lines)
        return [entry[2].split(".", 2) for entry in entries if entry[0] == what]


class Answers:
    """How often each job was told to have ended, to one who listens all the time."""

    def __init__(self, client: redis.Redis) -> None:
        self.told: Counter[str] = Counter()
        self._channel = client.pubsub(ignore_subscribe_messages=True)
        self._channel.psubscribe(changes_channel("*"))
        self._prefix = changes_channel("")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._channel.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            message = self._channel.get_message(timeout=0.2)
            if message and JobState(message["data"]).is_final:
                self.told[message["channel"].removeprefix(self._prefix)] += 1


def assert_settled(
    farm: VoiceFarm,
    jobs: Sequence[Job],
    unwanted: Sequence[Job] = (),
    *,
    format: AudioFormat = "wav",
) -> None:
    """All are done, each in one file that is whole, and nothing is left anywhere.

    Those `unwanted` were cancelled, before they were done or too late.
    """
    rows = [job.row() for job in jobs]
    assert {row.state for row in rows} == {JobState.DONE}
    late = [row for job in unwanted if (row := job.row()).state is not JobState.CANCELLED]
    assert {row.state for row in late} <= {JobState.DONE}
    rows += late
    cancelled = len(jobs) + len(unwanted) - len(rows)
    assert Counter(farm.counts()) == Counter(
        {JobState.DONE: len(rows), JobState.CANCELLED: cancelled}
    )
    _assert_nothing_waits(farm.broker.redis)
    volumes = Volumes(farm.settings.home)
    durability = GroupCommit(sync_of(volumes.processed))
    store = Store(volumes, durability)
    for row in rows:
        entry = store.find(row.key, format)
        assert entry is not None
        assert store.verify(entry)
        assert (entry.path, entry.manifest.sha256) == (row.file, row.sha256)
    # A job may be cancelled between its file and its end: that file is whole too.
    more = {path.name for path in volumes.processed.glob("??/*")} - {row.key for row in rows}
    assert len(more) <= cancelled
    for key in more:
        entry = store.find(key, format)
        assert entry is not None
        assert store.verify(entry)
    durability.close()


def _assert_nothing_waits(client: redis.Redis) -> None:
    """A message too many is taken and dropped."""

    def is_empty() -> bool:
        queued = sum(client.llen(queue) for queue in QUEUE_OF.values())
        held = (client.zcard(DELIVERIES_KEY), client.hlen(DELIVERED_KEY), client.hlen(LEASES_KEY))
        return (queued, *held) == (0, 0, 0, 0)

    eventually(is_empty, PATIENCE_S)


def staged(home: Path) -> list[Path]:
    """What lies in `.staging`."""
    return list((home / "processed" / STAGING).iterdir())
