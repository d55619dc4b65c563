"""An engine in a process of its own, which may die without taking the worker along.

The worker's side: it counts the slots like the engine does, starts the process again when
it dies or hangs, and has the chunks that were in it computed again. Their futures never
notice, unless a chunk is what kills it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Final

from .engine.errors import EngineClosed, EngineError
from .engine.lifecycle import Facts, Lifecycle, OnPhase, OnRoom, Phase
from .engine.model import ModelOffer
from .engine.promises import Promises
from .engine.registry import EngineSpec
from .engine.request import ChunkRequest, Take
from .watch import DEATH_S, Terms, Watch

logger = logging.getLogger(__name__)

#: Audio on its way from the process: some ten takes of the longest kind.
RING_BYTES: Final = 16 << 20


class EngineProcess:
    """A `SpeechEngine` whose `Engine` runs in a process that this one starts and watches."""

    def __init__(
        self,
        spec: EngineSpec,
        *,
        env: Mapping[str, str] | None = None,
        hang_s: float = 120.0,
        max_deaths: int = 3,
        ring_bytes: int = RING_BYTES,
        on_room: OnRoom | None = None,
        on_phase: OnPhase | None = None,
    ) -> None:
        """`env` is the whole environment of the process, None this process's own.

        The process is replaced after `hang_s` without a step while it has work. A chunk that
        was computed alone in `max_deaths` processes as they died ends with `EngineDied`.
        """
        self._lifecycle = Lifecycle(on_phase, on_room)
        self._promises = Promises(time.monotonic)
        terms = Terms(spec, env, hang_s, max_deaths, ring_bytes)
        self._watch = Watch(terms, self._lifecycle, self._promises)
        self._thread = threading.Thread(target=self._run, name="engine-watch", daemon=True)

    @property
    def phase(self) -> Phase:
        """See `SpeechEngine`; `loading` again while the process is being replaced."""
        return self._lifecycle.phase

    @property
    def ready(self) -> Future[ModelOffer]:
        """See `SpeechEngine`."""
        return self._lifecycle.ready

    def start(self) -> None:
        """See `SpeechEngine`."""
        self._thread.start()

    def offer(self) -> ModelOffer:
        """See `SpeechEngine`."""
        return self._lifecycle.known_offer()

    def submit(self, request: ChunkRequest) -> Future[Take]:
        """See `SpeechEngine`; while the process is being replaced, requests wait here."""
        future = self._promises.make(request.id)
        if (refusal := self._lifecycle.refusal()) is not None:
            self._promises.fail(request.id, refusal)
            return future
        self._watch.roster.add(request)
        self._watch.wake()
        return future

    def cancel(self, request_id: str) -> None:
        """See `SpeechEngine`."""
        self._watch.roster.cancel(request_id)
        self._watch.wake()

    def capacity(self, interactive: bool = False) -> int:
        """See `SpeechEngine`; answered here, the process is not asked."""
        if self.phase is not Phase.READY or (not interactive and self._promises.unread.is_much):
            return 0
        return self._watch.roster.room(interactive)

    def snapshot(self) -> Facts:
        """See `SpeechEngine`; also `engine_pid`, and the `deaths` and `restarts` so far."""
        return {
            **self._lifecycle.facts(),
            "active": self._watch.roster.active,
            "waiting": self._watch.roster.waiting,
            **self._watch.facts(),
            **self._promises.facts(),
        }

    def close(self, timeout_s: float = 10.0) -> None:
        """See `SpeechEngine`. A process that has not ended after `timeout_s` is killed."""
        self._watch.close(timeout_s)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s + DEATH_S)
        self._end(EngineClosed("the engine was closed"))

    def _run(self) -> None:
        end: EngineError = EngineClosed("the engine was closed")
        try:
            self._watch.run()
        except EngineError as error:
            end = error
        except Exception as error:
            logger.exception("the engine broke")
            end = EngineError(repr(error))
        finally:
            self._end(end)

    def _end(self, error: EngineError) -> None:
        self._lifecycle.end(error)
        self._promises.fail_all(error)
