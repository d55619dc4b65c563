"""A shelf: one store on an empty volume, with a disk that tells and fails as its test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from producer.content_key import content_key
from producer.job import OutputSpec
from producer.volumes import Volumes
from worker.durability import Move
from worker.engine.request import Samples
from worker.manifest import Facts
from worker.store import STAGING, Entry, Store

RATE_HZ = 24_000
KEY = content_key(text="hello")
WAV = OutputSpec()
FACTS = Facts(
    engine="fake",
    model_revision="1",
    created_at=1_700_000_000.0,
    job={"text": "hello"},
    timings_s={"computed": 0.5},
)


def tone(seconds: float = 0.5) -> Samples:
    """440 Hz at half the full scale."""
    times_s = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)


class Disk:
    """A durability that looks at the volume at each flush, and fails if it is told to."""

    def __init__(self) -> None:
        self.flushed: list[tuple[Path, list[str]]] = []
        self.fails: OSError | None = None
        self.at_the_first: Callable[[], None] = lambda: None

    def flush(self, path: Path) -> None:
        if self.fails is not None:
            raise self.fails
        if not self.flushed:
            self.at_the_first()
        self.flushed.append((path, sorted(file.name for file in path.iterdir())))

    def publish(self, path: Path, move: Move) -> None:
        self.flush(path)
        self.flush(move())

    def close(self) -> None:
        """Nothing waits."""


class Shelf:
    """A prepared store, and what can be seen of it from outside."""

    def __init__(self, home: Path) -> None:
        self.volumes = Volumes(home)
        self.disk = Disk()
        self.store = Store(self.volumes, self.disk)
        self.store.prepare()

    def put(
        self, samples: Samples | None = None, *, key: str = KEY, output: OutputSpec = WAV
    ) -> Entry:
        """Store half a second of a tone, or what is given."""
        with self.store.stage(key, output, RATE_HZ) as staged:
            staged.write(tone() if samples is None else samples, RATE_HZ)
            return staged.commit(FACTS)

    @property
    def staging(self) -> Path:
        return self.volumes.processed / STAGING

    @property
    def staged(self) -> list[Path]:
        """What lies in the staging directory."""
        return list(self.staging.iterdir())

    @property
    def entries(self) -> list[Path]:
        """Every directory of an entry, whole or not."""
        return list(self.volumes.processed.glob("??/*"))
