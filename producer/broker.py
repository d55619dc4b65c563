"""The way to our broker, whatever the host application has set.

The client lives inside other people's Celery applications. `CELERY_BROKER_URL` and its
siblings override an explicit `broker=`, a new app makes itself current, and Django's fixup
installs itself: `FarmCelery` does none of that, here and in our own workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import redis
from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import BatchPublishError, OperationalError
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from .acknowledgement import confirm
from .address import Address
from .assemble_job import AssembleJob
from .broker_doubts import doubts
from .broker_url import broker_url, mask
from .config import ProducerSettings
from .errors import BrokerRefused, InvalidJob, VoicefarmError
from .job import AnyJob, SpeechJob, decode
from .queues import QUEUE_OF, QUEUES, Priority, task_of
from .refusals import broker_error
from .text import shorten

if TYPE_CHECKING:
    from .transport import Connection

#: How long a connection may take before the broker counts as unreachable.
CONNECT_TIMEOUT_S: Final = 5.0

#: Messages that share one pipeline when many jobs are submitted at once.
PUBLISH_BATCH: Final = 200

TRANSPORT_OPTIONS: Final[dict[str, Any]] = {
    "socket_keepalive": True,
    "health_check_interval": 25,
    "socket_connect_timeout": CONNECT_TIMEOUT_S,
}

_CONFIGURATION: Final[dict[str, Any]] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "accept_content": ["json"],
    "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
    "task_default_queue": QUEUE_OF[next(iter(QUEUE_OF))],
    "task_create_missing_queues": False,
    # The ledger holds the outcome. A result that cannot be stored while Redis is away would
    # leave its message unacknowledged for ever.
    "task_ignore_result": True,
    "task_send_sent_event": True,
    "broker_connection_timeout": CONNECT_TIMEOUT_S,
    "broker_transport_options": TRANSPORT_OPTIONS,
}


class FarmCelery(Celery):  # type: ignore[misc]
    """A Celery app that talks to the given URL alone and is nobody's current app."""

    backend_cls = "disabled"
    #: By its name: a client that only reads the ledger never loads it.
    amqp_cls = "producer.transport:AMQP"

    def __init__(self, main: str, url: str, **options: Any) -> None:
        self.farm_address = Address.of(url)
        super().__init__(main, set_as_current=False, fixups=[], changes=_CONFIGURATION, **options)

    def connection_for_read(self, url: str | None = None, **options: Any) -> Connection:
        """Return a connection to our broker; the environment has no say."""
        return self._ours(super().connection_for_read, url, options)

    def connection(self, hostname: str | None = None, **options: Any) -> Connection:
        """Return a connection to our broker; Flower asks for it this way."""
        return self.connection_for_write(hostname, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        """Return a connection to our broker; the environment has no say."""
        return self._ours(super().connection_for_write, url, options)

    def _ours(self, connect: Any, url: str | None, options: dict[str, Any]) -> Connection:
        connection: Connection = connect(url or self.farm_address.celery_url, **options)
        connection.farm_address = self.farm_address
        return connection


class Broker:
    """One farm's Redis: rows through `redis`, messages through `celery`. Thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        retries: int = 1,
        answer_limit_s: float | None = None,
        min_replicas: int = 1,
    ) -> None:
        """An answer of Redis is waited for `answer_limit_s`; None is its client's default.

        `min_replicas` counts where Sentinels name the broker.
        """
        self.url = url
        self.address = Address.of(url)
        self.min_replicas = min_replicas if self.address.replicated else 0
        self._retries = retries
        limit = {} if answer_limit_s is None else {"socket_timeout": answer_limit_s}
        self._limit: dict[str, Any] = limit

    @classmethod
    def of(cls, settings: ProducerSettings) -> Broker:
        """Return the broker that the settings name, else the embedded one of their home."""
        return cls(broker_url(settings), min_replicas=settings.min_replicas)

    @cached_property
    def redis(self) -> redis.Redis:
        """A client for the farm's own keys, with text in and out."""
        return self.address.client(
            decode_responses=True,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_keepalive=True,
            health_check_interval=25,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=5), self._retries),
            **self._limit,
        )

    @cached_property
    def celery(self) -> FarmCelery:
        """The app that sends our messages."""
        return FarmCelery("voicefarm-client", self.url)

    def check(self) -> None:
        """Raise a `BrokerUnavailable` of its kind unless the broker answers us."""
        with self.reachable():
            self.redis.ping()

    def doubts(self) -> list[str]:
        """Return what of the server's configuration could cost jobs, each with what to do."""
        with self.reachable():
            return list(doubts(self.redis.info()))

    def send(self, jobs: Sequence[tuple[str, AnyJob]]) -> None:
        """Put one message a job on its queue, many in one round trip."""
        self._send([(job_id, job.queue, _shown(job)) for job_id, job in jobs])

    def send_encoded(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Put one message on its queue for each job of a batch, as the ledger has it."""
        self._send([(job_id, *_told(encoded)) for job_id, encoded in jobs])

    def send_again(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Put another message on its queue for each job, known by its id and its queue."""
        self._send([(job_id, queue, "(sent again)") for job_id, queue in jobs])

    def _send(self, jobs: Sequence[tuple[str, str, str]]) -> None:
        with self.reachable(), self.celery.producer_pool.acquire(block=True) as producer:
            if len(jobs) > 1 and producer.supports_batch_publish:
                with producer.batch(max_size=PUBLISH_BATCH):
                    self._send_each(jobs, producer)
            else:
                self._send_each(jobs, producer)

    def _send_each(self, jobs: Sequence[tuple[str, str, str]], producer: Any) -> None:
        for job_id, queue, shown in jobs:
            self.celery.send_task(
                task_of(queue),
                args=[job_id],
                task_id=job_id,
                queue=queue,
                producer=producer,
                # What Flower and the logs show in place of the arguments.
                argsrepr=shown,
                # A host's default would have the worker store a result that nobody reads.
                ignore_result=True,
                # Inside a host's task the job is no child of that task.
                add_to_parent=False,
            )

    def confirm(self, job_ids: Sequence[str]) -> None:
        """Wait until as many replicas as are wanted have these jobs.

        Raises `Unacknowledged` if they do not in time, or if the jobs are not there any more.
        """
        if self.min_replicas and job_ids:
            with self.reachable():
                confirm(self.redis, job_ids, self.min_replicas, mask(self.url))

    def ask_workers(self, command: str, timeout_s: float) -> dict[str, Any]:
        """Return each worker's answer to an inspect command, by node name.

        The workers of another Celery application in the same database hear the question too. They
        do not know it, and answer with an error.
        """
        control = self.celery.control
        with self.reachable():
            replies = self._twice(lambda: control.broadcast(command, reply=True, timeout=timeout_s))
        answers = {node: answer for reply in replies or [] for node, answer in reply.items()}
        return {node: answer for node, answer in answers.items() if set(answer) != {"error"}}

    def revoke(self, job_id: str) -> None:
        """Tell every worker to drop a job, also while it runs.

        A user who may not speak to workers says nothing: they read the wish in the job's row.
        """
        with suppress(BrokerRefused), self.reachable():
            self._twice(lambda: self.celery.control.revoke(job_id, terminate=True))

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what redis and kombu raise into `BrokerUnavailable` and its kinds."""
        try:
            yield
        except VoicefarmError:
            raise  # some are an OSError too
        except (redis.RedisError, OperationalError, BatchPublishError, OSError) as error:
            raise broker_error(mask(self.url), error) from error

    def close(self) -> None:
        """Let go of every connection."""
        if "celery" in self.__dict__:
            self.celery.close()
        if "redis" in self.__dict__:
            self.redis.close()

    @staticmethod
    def _twice(action: Callable[[], Any]) -> Any:
        """Try again once: a pooled connection that has gone stale fails at its first use."""
        try:
            return action()
        except (redis.ConnectionError, OperationalError, OSError):
            return action()


def _told(encoded: str) -> tuple[str, str]:
    """Return the queue of a job as the ledger has it, and what is shown of it."""
    with suppress(InvalidJob):
        job = decode(encoded)
        return job.queue, _shown(job)
    return QUEUE_OF[Priority.BATCH], "(of another version)"


def _shown(job: AnyJob) -> str:
    if isinstance(job, SpeechJob):
        return f"(voice={job.voice!r}, text={shorten(job.text)!r})"
    if isinstance(job, AssembleJob):
        return f"(batch={job.batch!r}, format={job.format!r})"
    return f"(voice={job.convert.voice!r}, upload={job.upload[:12]!r})"
