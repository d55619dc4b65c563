"""What this worker's engine offers, written where clients read it, and kept true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Final, Protocol

from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import RedisError

from producer.job import EngineJob, SpeechJob
from producer.queues import CATALOGUE_KEY
from producer.scripting import ALSO_WHEN_FULL
from producer.voices import Offer, TargetVoice, Voice

from .engine.model import ConversionOffer, ModelOffer
from .engine.service import SpeechEngine
from .speech import guard_revision

logger = get_logger(__name__)

#: Seconds between two looks at whether the engine offers something else.
LOOK_S: Final = 1.0

#: How long a job waits for a voice that another worker has announced: a network file system may
#: show a new file to another machine only a minute later.
PATIENCE_S: Final = 75.0

#: How often it looks meanwhile.
_POLL_S: Final = 0.25


class _Named(Protocol):
    @property
    def name(self) -> str: ...


#: Writes an offer. KEYS catalogue. ARGV engine, offer.
_ANNOUNCE: Final = ALSO_WHEN_FULL + "return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])"


class Announcer:
    """Writes an engine's offer into the catalogue, again whenever it has changed."""

    def __init__(self, redis: Redis, engine: SpeechEngine) -> None:
        self._redis = redis
        self._engine = engine
        self._told: ModelOffer | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_true, name="announcer", daemon=True)

    def announce(self) -> None:
        """Write the offer of an engine that has become ready. Raises `RedisError`."""
        self._write(self._engine.offer())
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Write nothing any more."""
        self._closed.set()

    def offer_with(self, job: EngineJob, until: Callable[[], bool]) -> ModelOffer:
        """Return the engine's offer.

        If it lacks a voice of `job` that another worker with the same engine has, it gets time to
        see it too, as long as `until` is False. Raises `EngineClosed` before the engine was ready.
        """
        offer = self._engine.offer()
        if _has(offer, job) or not self._is_announced(offer.engine, job):
            return offer
        deadline_s = time.monotonic() + PATIENCE_S
        while not (_has(offer, job) or until() or time.monotonic() > deadline_s):
            if self._closed.wait(_POLL_S):
                break
            offer = self._engine.offer()
        return offer

    def _is_announced(self, engine: str, job: EngineJob) -> bool:
        announced: Any = self._redis.hget(CATALOGUE_KEY, engine)
        if not announced:
            return False
        offer = Offer.model_validate_json(announced)
        return _names(offer.voices, offer.targets) >= _wanted(job)

    def _keep_true(self) -> None:
        while not self._closed.wait(LOOK_S):
            offer = self._engine.offer()
            if offer == self._told:
                continue
            try:
                self._write(offer)
            except RedisError as error:
                logger.warning("the voices of now could not be announced yet: %s", error)

    def _write(self, offer: ModelOffer) -> None:
        told = offer_of(offer).model_dump_json()
        self._redis.eval(_ANNOUNCE, 1, CATALOGUE_KEY, offer.engine, told)
        self._told = offer


def offer_of(offer: ModelOffer) -> Offer:
    """Return what clients are told of an engine's offer."""
    conversion = offer.conversion or ConversionOffer("", ())
    return Offer(
        engine=offer.engine,
        revision=offer.revision,
        languages=offer.languages,
        voices=tuple(
            Voice(name=voice.name, revision=voice.revision, engine=offer.engine)
            for voice in offer.voices
        ),
        targets=tuple(TargetVoice(**asdict(voice)) for voice in conversion.voices),
        obstacle=conversion.obstacle,
        faults=offer.faults,
        target_faults=conversion.faults,
        guard=guard_revision(offer),
        converter=conversion.revision,
    )


def _has(offer: ModelOffer, job: EngineJob) -> bool:
    targets = offer.conversion.voices if offer.conversion else ()
    return _names(offer.voices, targets) >= _wanted(job)


def _wanted(job: EngineJob) -> set[tuple[str, str]]:
    """Return the voices that a job names: it speaks with one, and is converted into another."""
    wanted = {("speaks", job.voice)} if isinstance(job, SpeechJob) else set()
    return wanted | ({("converts", job.convert.voice)} if job.convert else set())


def _names(voices: Iterable[_Named], targets: Iterable[_Named]) -> set[tuple[str, str]]:
    return {("speaks", one.name) for one in voices} | {("converts", one.name) for one in targets}
