"""The station: all that one worker process keeps warm between jobs."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

from celery.utils.log import get_logger
from redis import RedisError

from producer.batch.ledger import BatchLedger
from producer.broker import Broker
from producer.broker_url import broker_url
from producer.errors import JobNotFound, VoicefarmError
from producer.ledger import Ledger
from producer.queues import QUEUES, SPEECH_QUEUES
from producer.version import VERSION
from producer.volumes import Volumes

from .admission import Admission
from .announcer import Announcer
from .batch_archive import BatchArchive
from .bindery import Bindery
from .caretaker import Caretaker
from .claims import Claims, NoClaims
from .config import WorkerSettings
from .courier import Courier
from .dispatcher import Dispatcher
from .durability import GroupCommit, sync_of
from .engine.affinity import pinned_to
from .engine.errors import EngineError
from .engine_choice import make_engine
from .errors import WorkerError
from .gpus import own_gpu
from .heartbeat import Heartbeat
from .lease import Leases
from .null_store import NullStore
from .pressroom import Pressroom, presses_of
from .pulse import Pulse
from .readiness import Readiness, ReadinessBoard
from .reconciler import Reconciler
from .scratch import sweep
from .shared_takes import Sharing
from .solitude import Solitude
from .store import Store
from .strangers import Strangers
from .take_shelf import TakeShelf
from .tally import Tally
from .telling import Telling
from .tempo import Tempo

if TYPE_CHECKING:
    from .attempt import Attempt

logger = get_logger(__name__)

#: How often a worker tries again to reach Redis within one call: about two minutes.
REDIS_RETRIES: Final = 30


class Station:
    """Engine, store, ledger and readiness of this process; made once, closed once."""

    _settings: ClassVar[WorkerSettings]
    _current: ClassVar[Station | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()
    _telling: Telling | None = None

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.node = socket.gethostname()
        self.broker = Broker(broker_url(settings), retries=REDIS_RETRIES)
        # A client that gives up early: courier, leases and heartbeat try again themselves.
        self._lease_broker = Broker(self.broker.url)
        redis = self._lease_broker.redis
        self._courier = Courier(redis, REDIS_RETRIES)
        self.ledger = Ledger(self._courier.client, keep_s=settings.keep_days * 86400)
        self.leases = Leases(redis, settings.lease_s, self._courier)
        self.reconciler = Reconciler(redis, self.broker.send_again, settings.lease_s)
        self._caretaker = Caretaker.of(settings, redis)
        self.strangers = Strangers(self.broker.redis)
        self.volumes = Volumes(settings.home)
        self.durability = GroupCommit(sync_of(self.volumes.processed))
        self.store: Store | NullStore = NullStore()
        self.claims: Claims | NoClaims = NoClaims()
        self.sharing = self._sharing()
        if settings.store == "volume":
            self.store = Store(self.volumes, self.durability)
            self.claims = Claims(self._courier.client, send=self._courier.send)
        self.pressroom = Pressroom(self.store, self.volumes.home, most=presses_of(settings))
        self.readiness = ReadinessBoard(time.time())
        self.engine = make_engine(settings, on_room=self._wake, on_phase=self._on_phase)
        self.announcer = Announcer(self.broker.redis, self.engine)
        self.bindery = Bindery.of(settings, on_room=self._wake)
        self.admission = Admission(self._room, self._has_book_room)
        #: Those that are under way.
        self.attempts: set[Attempt] = set()
        self.solitude = Solitude(self._wake)
        self.on_room: Callable[[], None] = lambda: None
        self.on_hurry: Callable[[], None] = lambda: None
        self.on_broken: Callable[[str], None] = lambda detail: None
        self.pulse = Pulse()
        self.gpu = own_gpu(settings)
        #: Takes that were thrown away for another one.
        self.retakes = Tally()
        self._tempo = Tempo()
        self._heartbeat = Heartbeat(redis, self.facts, refresh=self._refresh)
        self._started, self._queues, self._stops = False, QUEUES, 0

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Feeds the batches, if this worker is the one of all that does."""
        redis, keep_s = self._lease_broker.redis, self.settings.keep_days * 86400
        send, snapshot = self.broker.send_encoded, self.engine.snapshot
        if self._archive is None:
            return Dispatcher(redis, send, keep_s, snapshot)
        return Dispatcher(redis, send, keep_s, snapshot, self._archive.has_filed)

    @cached_property
    def _archive(self) -> BatchArchive | None:
        """What the dispatcher has batches written by that have ended."""
        if self.settings.store != "volume":
            return None
        batches = BatchLedger(self._lease_broker.redis, keep_s=0)
        return BatchArchive(batches, self.volumes, self.durability)

    @classmethod
    def configure(cls, settings: WorkerSettings) -> None:
        """Say with which settings this process' station is made, when it is first needed."""
        cls._settings = settings

    @classmethod
    def current(cls) -> Station:
        """Return the one station of this process."""
        with cls._lock:
            if cls._current is None:
                cls._current = cls(cls._settings)
            return cls._current

    def start(self, node: str, queues: Iterable[str] = QUEUES) -> None:
        """Make the volumes and begin to load the engine, behind the caller's back; once.

        A worker whose `queues` have no speech, such as one for books alone, does not offer its
        voices.
        """
        if self._started:
            return
        self._started = True
        self.node, self._queues = node, tuple(sorted(queues))
        self.leases.start(node)
        self.reconciler.start(self.leases.holder)
        self._caretaker.start(node)
        self.dispatcher.start(self.leases.holder, node)
        self._tell()
        self._heartbeat.start(node)
        try:
            self.volumes.make()
            sweep(self.volumes.temp, time.time())
            self.store.prepare()
            self.engine.start()
        except (WorkerError, VoicefarmError, EngineError) as error:
            self._break(str(error))

    def facts(self) -> dict[str, Any]:
        """Return what `gpu_ready` answers: plain JSON, no waiting."""
        return {
            **self.readiness.snapshot(),
            "node": self.node,
            "queues": self._queues,
            "pid": os.getpid(),
            "version": VERSION,
            "http_port": self._telling.port if self._telling else None,
            "ailment": self.ailment(),
            "held": self.leases.held,
            "lost": self.leases.lost,
            "retakes": self.retakes.total,
            "press_pids": self.pressroom.pids,
            "processor": pinned_to(),
            "gpu": self.gpu.facts,
            "real_time_factor": self._tempo.real_time_factor,
            **self.engine.snapshot(),
        }

    def ailment(self) -> str:
        """Return why this worker is not alive any more, "" if it is."""
        step_age_s = float(self.engine.snapshot()["last_step_age_s"] or 0)
        return self.pulse.ailment(step_age_s, self.settings.hang_s)

    def drain(self) -> None:
        """Heed a signal to stop; after a second one nobody waits for what runs."""
        self._stops += 1
        if self._stops > 1:
            self.on_hurry()
        self.readiness.enter(Readiness.DRAINING, time.time())

    def close(self) -> None:
        """Give back what is still held, stop the engine and let go of everything."""
        if self._telling is not None:
            self._telling.close()
        self.reconciler.close()
        self._caretaker.close()
        self.dispatcher.close()
        if self._archive is not None:
            self._archive.close()
        self._abandon()
        self.leases.close()
        self._courier.close()
        self._heartbeat.close()
        self.announcer.close()
        self.engine.close()
        self.pressroom.close()
        self.durability.close()
        self.broker.close()
        self._lease_broker.close()

    def _sharing(self) -> Sharing | None:
        """Return what long jobs share their takes by, if there is to be such a thing."""
        if self.settings.store != "volume" or not self.settings.takes_budget_bytes:
            return None
        shelf = TakeShelf(self.volumes, self.settings.takes_budget_bytes)
        return Sharing(shelf, Claims(self._courier.client))

    def _abandon(self) -> None:
        """Hand back the jobs whose tasks have not ended: they were not lost, and are no poison."""
        # As the leases, it gives up early: nobody waits for a broker that is away.
        ledger = Ledger(self._lease_broker.redis, keep_s=0)
        try:
            for attempt in tuple(self.attempts):
                attempt.abandon(ledger)
        except (RedisError, JobNotFound) as error:
            logger.warning("jobs that still run are not handed back: %s", error)

    def _tell(self) -> None:
        if self.settings.http_port is None:
            return
        try:
            self._telling = Telling(self, self.settings.http_port, self.settings.http_host)
        except OSError as error:
            # Jobs matter more than probes, and whoever probes finds out.
            logger.error("VOICEFARM_HTTP_PORT=%d: %s", self.settings.http_port, error.strerror)

    def _refresh(self) -> None:
        """Look up what takes its time, on the heartbeat's thread."""
        self.gpu.refresh()
        facts = self.engine.snapshot()
        busy = bool(facts.get("active") or facts.get("waiting"))
        self._tempo.note(time.monotonic(), float(facts.get("audio_s") or 0), busy=busy)

    def _room(self, interactive: bool) -> int:
        if self.readiness.state is not Readiness.READY or self.solitude.is_wanted:
            return 0
        return self.engine.capacity(interactive=interactive)

    def _has_book_room(self) -> bool:
        ready = self.readiness.state is Readiness.READY and not self.solitude.is_wanted
        return ready and self.bindery.has_room

    def _wake(self) -> None:
        self.on_room()

    def _on_phase(self, phase: str, detail: str) -> None:
        """Follow the engine; called from its thread. Announce before saying `ready`."""
        if phase == Readiness.BROKEN:
            self._break(detail)
            return
        if phase == Readiness.READY and {*self._queues} & {*SPEECH_QUEUES}:
            self.announcer.announce()
        if phase in tuple(Readiness) and self.readiness.enter(
            Readiness(phase), time.time(), detail
        ):
            logger.info("engine=%s phase=%s %s", self.settings.engine, phase, detail)
        self.on_room()

    def _break(self, detail: str) -> None:
        self.readiness.enter(Readiness.BROKEN, time.time(), detail)
        self.on_broken(detail)
        self.on_room()
