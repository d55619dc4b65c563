"""Who is measured: stock Celery and the farm, asked for the same work in the same words."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from producer import JobState, VoiceFarm
from producer.queues import QUEUE_OF, SYNTHESIZE, Priority

from . import stock, stock_pinned

#: How long a worker is given to answer whether it is there.
_ANSWER_S: Final = 0.5


class Contender(Protocol):
    """One system under test: how to start its worker, and a producer's view of it."""

    name: str
    #: The Celery app that a producer uses.
    app: Any
    #: The Redis lists that its jobs wait in; `enqueue` fills the first.
    queues: tuple[str, ...]
    #: The name of the task that `enqueue` asks for.
    task: str
    #: What the command `celery` is told, and the environment it gets.
    arguments: tuple[str, ...]
    environment: dict[str, str]

    def is_ready(self) -> bool:
        """True once the worker takes jobs."""

    def enqueue(self, texts: Sequence[str]) -> None:
        """Queue one job a text; return once all of them are in Redis."""

    def submit_steadily(self, texts: Iterable[str]) -> None:
        """Queue a job whenever the iterator gives a text, and remember when."""

    def latencies_s(self) -> list[float]:
        """Return from enqueue to start, of each job of the last `submit_steadily`."""


class StockCelery:
    """Celery's own thread pool and a task that does nothing."""

    name = "stock Celery"
    app: Any = stock.app
    queues: tuple[str, ...] = ("celery",)
    task: str = stock.empty.name

    def __init__(self, url: str, home: Path, concurrency: int) -> None:
        self.app.conf.broker_url = url
        self.environment = {"CELERY_BROKER_URL": url}
        self.arguments: tuple[str, ...] = (
            "-A", stock.__name__, "worker", "--pool=threads", f"--concurrency={concurrency}",
        )  # fmt: skip
        self._record = home / "latencies"

    def is_ready(self) -> bool:
        """See `Contender`."""
        return bool(self.app.control.ping(timeout=_ANSWER_S))

    def enqueue(self, texts: Sequence[str]) -> None:
        """See `Contender`: the bare loop."""
        for text in texts:
            stock.empty.apply_async((text,))

    def submit_steadily(self, texts: Iterable[str]) -> None:
        """See `Contender`."""
        self._record.write_text("")
        for text in texts:
            stock.timed.apply_async((text, time.time(), str(self._record)))

    def latencies_s(self) -> list[float]:
        """See `Contender`; the tasks have written them down."""
        return [float(line) for line in self._record.read_text().split()]


class PinnedStockCelery(StockCelery):
    """The same on one processor, where the farm's worker is too."""

    name = "stock Celery, pinned"

    def __init__(self, url: str, home: Path, concurrency: int) -> None:
        super().__init__(url, home, concurrency)
        self.arguments = ("-A", stock_pinned.__name__, *self.arguments[2:])


class Farm:
    """Voicefarm with an engine that does nothing; `store` is `volume` or `off`."""

    task = SYNTHESIZE

    def __init__(self, url: str, home: Path, concurrency: int, *, store: str) -> None:
        self.name = "farm, store off" if store == "off" else "farm, store on"
        self._farm = VoiceFarm(url, home=home)
        self.app: Any = self._farm.broker.celery
        self.queues: tuple[str, ...] = (QUEUE_OF[Priority.BATCH], QUEUE_OF[Priority.INTERACTIVE])
        self.arguments: tuple[str, ...] = (
            "-A", "tasks", "worker", f"--concurrency={concurrency}",
        )  # fmt: skip
        self.environment = {
            "VOICEFARM_BROKER_URL": url,
            "VOICEFARM_HOME": str(home),
            "VOICEFARM_ENGINE": "fake",
            "VOICEFARM_FAKE_SILENT": "true",
            "VOICEFARM_SLOTS": str(concurrency),
            "VOICEFARM_STORE": store,
        }
        self._steady: list[str] = []

    def is_ready(self) -> bool:
        """See `Contender`. From then on the client checks each job by the farm's voices."""
        return bool(self._farm.voices().offers)

    def enqueue(self, texts: Sequence[str]) -> None:
        """See `Contender`: the rows first, then the messages."""
        self._farm.submit_many(texts)

    def submit_steadily(self, texts: Iterable[str]) -> None:
        """See `Contender`."""
        self._steady = [self._farm.submit(text).id for text in texts]

    def latencies_s(self) -> list[float]:
        """See `Contender`; the ledger knows them."""
        times = [self._farm.job(job_id).row().times for job_id in self._steady]
        return [entered[JobState.RUNNING] - entered[JobState.QUEUED] for entered in times]
