"""The watch over an engine process: its lives, its deaths, and what became of the chunks."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from .engine.channel import Message
from .engine.errors import EngineDied, EngineError, TakeCancelled
from .engine.lifecycle import Facts, Lifecycle, Phase
from .engine.model import ModelOffer
from .engine.promises import Promises
from .engine.registry import EngineSpec
from .engine.request import Samples, Sound
from .engine.ring import Ring
from .engine.scheduler import awaited_rows_of, reserve_of
from .host import Host
from .roster import Roster, lead_of

logger = logging.getLogger(__name__)

#: How often the process is looked at when it says nothing.
WATCH_S: Final = 0.25

#: How long a process whose socket has closed may take to be gone.
DEATH_S: Final = 1.0

#: How often in a row it may die while it loads, and the pause after the first time, which
#: doubles: a device may need a moment to be free again.
LOAD_TRIES: Final = 3
LOAD_PAUSE_S: Final = 0.5

_ERRORS: Final = {
    kind.__name__: kind
    for root in EngineError.__subclasses__()
    for kind in (root, *root.__subclasses__())
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How an engine process is kept."""

    spec: EngineSpec
    #: Its whole environment; None is that of this process.
    env: Mapping[str, str] | None
    #: It is replaced after so long without a step while it has work.
    hang_s: float
    #: A chunk that was alone in so many processes as they died is given up.
    max_deaths: int
    #: Audio on its way out of it.
    ring_bytes: int


class Watch:
    """Runs on a thread of its own, which alone touches the process."""

    def __init__(self, terms: Terms, lifecycle: Lifecycle, promises: Promises) -> None:
        self._terms = terms
        self._lifecycle = lifecycle
        self._promises = promises
        self.roster = Roster(1, 0, terms.max_deaths)
        # Written to by whoever has news for the watch, which sleeps on it.
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._wake_fd)
        self._is_woken = False
        self._closing = threading.Event()
        self._grace_s = DEATH_S
        # Takes of which a part has come, and how many bytes that are.
        self._audio: dict[str, tuple[Samples, int]] = {}
        self._has_left = False
        self._steps = 0
        self._steps_before = 0
        self._advanced_s = 0.0
        self._lives = 0
        self._deaths = 0
        self._load_deaths = 0
        self._pid: int | None = None
        #: Facts that the engine in the process tells of.
        self._told: Facts = {}

    def facts(self) -> Facts:
        """Return how the process is doing."""
        age_s = time.monotonic() - self._advanced_s if self.roster.is_inside else 0.0
        return {
            "steps": self._steps_before + self._steps,
            "last_step_age_s": round(age_s, 3),
            "engine_pid": self._pid,
            "deaths": self._deaths,
            "restarts": max(0, self._lives - 1),
            **self._told,
        }

    def wake(self) -> None:
        """Have the watch look at the roster; from any thread."""
        # One call of the system wakes it for all who call before it looks.
        if not self._is_woken:
            self._is_woken = True
            os.eventfd_write(self._wake_fd, 1)

    def close(self, grace_s: float) -> None:
        """Have the watch end the process, by force after `grace_s`; from any thread."""
        self._grace_s = grace_s
        self._closing.set()
        os.eventfd_write(self._wake_fd, 1)

    def run(self) -> None:
        """Keep a process alive until `close`. Raises `EngineError` if it cannot be."""
        while not self._closing.is_set():
            self._live()

    def _live(self) -> None:
        self._lifecycle.enter(Phase.LOADING)
        host = Host(self._terms.spec, self._terms.env, self._terms.ring_bytes)
        self._lives += 1
        self._pid = host.pid
        try:
            while host.alive and not self._closing.is_set():
                self._talk(host)
        finally:
            self._pid = None
            reason = host.bury(self._grace_s)
        if not self._closing.is_set():
            self._mourn(host, reason)

    def _talk(self, host: Host) -> None:
        # Before the look: who comes during it wakes the watch again.
        self._is_woken = False
        self._send(host)
        messages = host.wait(WATCH_S, self._wake_fd)
        for message in messages:
            self._heed(host, message)
        if self._has_left:
            self._has_left = False
            self._lifecycle.tell_room()
        age_s = time.monotonic() - self._advanced_s
        if self.roster.is_inside and age_s > self._terms.hang_s:
            host.kill(f"it made no step for {age_s:.1f} s")

    def _send(self, host: Host) -> None:
        """Pass on what is new in the roster."""
        for request_id in self.roster.withdrawn():
            self._fail(request_id, TakeCancelled("the chunk was cancelled"))
        for request_id in self.roster.untold():
            host.send({"cancel": request_id})
        if self._lifecycle.phase is Phase.READY:
            if not self.roster.is_inside:
                self._advanced_s = time.monotonic()
            host.send(*({"submit": request.encode()} for request in self.roster.due()))

    def _heed(self, host: Host, message: Message) -> None:
        match message:
            case {"audio": str()}:
                self._hear(message, host.ring)
            case {"failed": request_id, "error": kind, "words": words}:
                self._fail(request_id, _ERRORS.get(kind, EngineError).saying(words))
            case {"beat": steps} if steps != self._steps:
                self._steps = steps
                self._advanced_s = time.monotonic()
            case {"facts": facts}:
                self._told = facts
            case {"offer": offer}:
                self._open(ModelOffer.decode(offer))
            case {"phase": Phase.WARMING}:
                self._lifecycle.enter(Phase.WARMING)
            case {"phase": Phase.BROKEN, "detail": detail}:
                host.kill(detail)

    def _open(self, offer: ModelOffer) -> None:
        if self._lifecycle.phase is Phase.READY:
            self._lifecycle.renew(offer)
            return
        self._load_deaths = 0
        if self._lifecycle.offer is None:
            spec, slots = self._terms.spec, offer.slots
            reserve = reserve_of(slots, spec.interactive_share)
            awaited = awaited_rows_of(slots, spec.awaited_share)
            deaths, lead = self._terms.max_deaths, lead_of(slots)
            self.roster = Roster(slots, reserve, deaths, lead, awaited)
        self._lifecycle.open(offer)

    def _hear(self, message: Message, ring: Ring) -> None:
        request_id, begin = message["audio"], 0
        if request_id in self._audio:
            samples, begin = self._audio.pop(request_id)
        else:
            numbers = (message["bytes"] + message["left"]) // np.float32().itemsize
            samples = np.empty(numbers, np.float32)
        end = begin + message["bytes"]
        ring.read_into(samples.view(np.uint8).data[begin:end])
        if message["left"]:
            self._audio[request_id] = samples, end
            return
        if file := message.get("file", ""):
            samples = np.memmap(file, np.float32, "r")
        sound = Sound(samples, message["trimmed_s"], message["truncated"], file=file)
        self._leave(request_id)
        self._promises.keep(request_id, sound, message["rate"], message["computed_s"])

    def _fail(self, request_id: str, error: EngineError) -> None:
        self._leave(request_id)
        self._promises.fail(request_id, error)

    def _leave(self, request_id: str) -> None:
        self.roster.remove(request_id)
        self._has_left = True
        self._advanced_s = time.monotonic()

    def _mourn(self, host: Host, reason: str) -> None:
        """Give up the chunks that kill, and go on, unless the process cannot even load."""
        logger.error("engine process %d died: %s", host.pid, reason)
        self._deaths += 1
        self._audio.clear()
        self._steps_before += self._steps
        self._steps = 0
        for request_id in self.roster.bury():
            words = f"{self._terms.max_deaths} engine processes died with this chunk alone in them"
            self._fail(request_id, EngineDied(f"{words}, the last so: {reason}"))
        if self._lifecycle.phase is not Phase.READY:
            self._load_deaths += 1
            if self._load_deaths == LOAD_TRIES:
                raise EngineError("\n".join([f"the engine cannot be loaded: {reason}", *host.tail]))
            self._closing.wait(LOAD_PAUSE_S * 2 ** (self._load_deaths - 1))
