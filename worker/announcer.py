"""What this worker's engine offers, written where clients read it, and kept true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from celery.utils.log import get_logger
from redis import Redis
from redis.exceptions import RedisError

from producer.queues import CATALOGUE_KEY
from producer.voices import Offer, Voice

from .engine.model import ModelOffer
from .engine.service import SpeechEngine

logger = get_logger(__name__)

#: Seconds between two looks at whether the engine offers something else.
LOOK_S: Final = 1.0

#: How long a job waits for a voice that another worker has announced: a network file system may
#: show a new file to another machine only a minute later.
PATIENCE_S: Final = 75.0

#: How often it looks meanwhile.
_POLL_S: Final = 0.25


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

    def offer_with(self, voice: str, until: Callable[[], bool]) -> ModelOffer:
        """Return the engine's offer.

        If it lacks a voice that another worker with the same engine has, it gets time to see it
        too, as long as `until` is False. Raises `EngineClosed` before the engine was ready.
        """
        offer = self._engine.offer()
        if _has(offer, voice) or not self._is_announced(offer.engine, voice):
            return offer
        deadline_s = time.monotonic() + PATIENCE_S
        while not (_has(offer, voice) or until() or time.monotonic() > deadline_s):
            if self._closed.wait(_POLL_S):
                break
            offer = self._engine.offer()
        return offer

    def _is_announced(self, engine: str, voice: str) -> bool:
        announced: Any = self._redis.hget(CATALOGUE_KEY, engine)
        if not announced:
            return False
        return any(one.name == voice for one in Offer.model_validate_json(announced).voices)

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
        announced = Offer(
            engine=offer.engine,
            revision=offer.revision,
            languages=offer.languages,
            voices=tuple(
                Voice(name=voice.name, revision=voice.revision, engine=offer.engine)
                for voice in offer.voices
            ),
        )
        self._redis.hset(CATALOGUE_KEY, offer.engine, announced.model_dump_json())
        self._told = offer


def _has(offer: ModelOffer, voice: str) -> bool:
    return any(one.name == voice for one in offer.voices)
