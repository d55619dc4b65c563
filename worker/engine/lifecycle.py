"""The phases of an engine from its start to its end, and who is told of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from enum import StrEnum

from .errors import EngineClosed, EngineError
from .model import ModelOffer

logger = logging.getLogger(__name__)

#: Plain JSON facts of an engine.
Facts = Mapping[str, str | int | float | None]

#: Called with the new phase and, if it is bad news, the reason. If it raises, the engine breaks.
OnPhase = Callable[["Phase", str], None]

#: Called when the engine may have more room than before.
OnRoom = Callable[[], None]


class Phase(StrEnum):
    """Every engine is in exactly one of these."""

    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    CLOSED = "closed"
    BROKEN = "broken"


#: Nothing comes after these.
_LAST = frozenset({Phase.CLOSED, Phase.BROKEN})


class Lifecycle:
    """The present phase. Changed by the engine's own thread, and by who closes it; read by any."""

    def __init__(self, on_phase: OnPhase | None, on_room: OnRoom | None) -> None:
        self.phase = Phase.LOADING
        self.detail = ""
        self.offer: ModelOffer | None = None
        #: Resolves once, with the first offer or with what kept the engine from making one.
        self.ready: Future[ModelOffer] = Future()
        self.ready.set_running_or_notify_cancel()
        #: Set when nothing comes any more.
        self.ended = threading.Event()
        self._on_phase = on_phase
        self._on_room = on_room

    def enter(self, phase: Phase, detail: str = "") -> None:
        """Change the phase and tell; an engine that has ended stays ended."""
        if self.phase in _LAST:
            return
        self.phase, self.detail = phase, detail
        if self._on_phase is not None:
            self._on_phase(phase, detail)

    def open(self, offer: ModelOffer) -> None:
        """Become ready to speak what `offer` says."""
        self.offer = offer
        self.enter(Phase.READY)
        if not self.ready.done():
            self.ready.set_result(offer)
        self.tell_room()

    def renew(self, offer: ModelOffer) -> None:
        """Offer something else from now on, in as many slots as before."""
        self.offer = replace(offer, slots=self.known_offer().slots)

    def end(self, error: EngineError) -> None:
        """Become closed, or broken by `error`. Nothing comes after this."""
        self.ended.set()
        closed = isinstance(error, EngineClosed)
        try:
            self.enter(Phase.CLOSED if closed else Phase.BROKEN, str(error))
        except Exception:
            logger.exception("the listener for the engine's phase failed")
        if not self.ready.done():
            self.ready.set_exception(error)

    def tell_room(self) -> None:
        """Tell that there may be more room; a listener that fails harms nobody."""
        try:
            if self._on_room is not None:
                self._on_room()
        except Exception:
            logger.exception("the listener for the engine's room failed")

    def known_offer(self) -> ModelOffer:
        """Return the last offer. Raises `EngineClosed` if there was none yet."""
        if self.offer is None:
            raise EngineClosed("the engine has not been ready yet")
        return self.offer

    def facts(self) -> Facts:
        """Return the phase and what the offer says of the engine."""
        names = ("engine", "revision", "device", "slots")
        told = {name: getattr(self.offer, name, None) for name in names}
        voices = len(self.offer.voices) if self.offer else None
        return {"phase": self.phase.value, **told, "voices": voices}

    def refusal(self) -> EngineError | None:
        """Return why no work is taken, None if it is.

        An engine that was ready and loads again takes work: it has a process that died.
        """
        if self.phase is Phase.READY or (self.offer is not None and self.phase not in _LAST):
            return None
        return EngineClosed(": ".join(filter(None, (f"the engine is {self.phase}", self.detail))))
