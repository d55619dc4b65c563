"""The batching engine: many chunks at the same time through one model, on one thread.

Chunks join and leave the batch between two steps. `Engine.step` is the whole of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from .device_fault import is_device_fault
from .errors import ChunkFailed, EngineClosed, EngineError, EngineOutOfMemory, TakeCancelled
from .lifecycle import Facts, Lifecycle, OnPhase, OnRoom, Phase
from .model import Model, ModelOffer, Outcome
from .promises import Promises
from .renewal import start_renewal
from .request import ChunkRequest, Take
from .scheduler import Scheduler, reserve_of

logger = logging.getLogger(__name__)

Rows = Sequence[tuple[int, ChunkRequest]]


class Engine:
    """A `SpeechEngine` that runs its model in this process, on a thread of its own."""

    def __init__(
        self,
        model: Model,
        *,
        slots: int | None = None,
        interactive_share: float = 0.1,
        on_room: OnRoom | None = None,
        on_phase: OnPhase | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slots` None is the model's own choice; batch work leaves `interactive_share` of them."""
        self._model = model
        self._slots = slots
        self._interactive_share = interactive_share
        self._clock = clock
        self._lifecycle = Lifecycle(on_phase, on_room)
        self._promises = Promises(clock)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        # Guards what follows; never held while the model works or a future is answered.
        self._work = threading.Condition()
        self._scheduler = Scheduler(slots or 1, 0)
        self._cancelled: set[str] = set()
        self._closing = False
        self._started_s: dict[int, float] = {}
        # The ids whose rows have left the batch and whose audio is being made, and since when.
        self._sounding: dict[str, float] = {}
        self._has_left = False
        self._steps = 0
        self._stepped_s = 0.0

    @property
    def phase(self) -> Phase:
        """See `SpeechEngine`."""
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
        """See `SpeechEngine`; what the model cannot speak is refused at once."""
        future = self._promises.make(request.id)
        if (refusal := self._refusal(request)) is not None:
            self._promises.fail(request.id, refusal)
            return future
        with self._work:
            if self._is_idle():
                self._stepped_s = self._clock()
            self._scheduler.add(request)
            self._work.notify()
        return future

    def cancel(self, request_id: str) -> None:
        """See `SpeechEngine`."""
        with self._work:
            if request_id in self._promises:
                self._cancelled.add(request_id)
                self._work.notify()

    def capacity(self, interactive: bool = False) -> int:
        """See `SpeechEngine`."""
        with self._work:
            return self._scheduler.room(interactive) if self.phase is Phase.READY else 0

    def snapshot(self) -> Facts:
        """See `SpeechEngine`; `last_step_age_s` counts only while there is work."""
        with self._work:
            age_s = 0.0 if self._is_idle() else self._clock() - self._stepped_s
            return {
                **self._lifecycle.facts(),
                "active": self._scheduler.active,
                "sounding": len(self._sounding),
                "waiting": self._scheduler.waiting,
                "steps": self._steps,
                "last_step_age_s": round(age_s, 3),
                **self._promises.facts(),
            }

    def close(self, timeout_s: float = 10.0) -> None:
        """See `SpeechEngine`. A model that hangs is left behind after `timeout_s`."""
        with self._work:
            self._closing = True
            self._work.notify()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        self._end(EngineClosed("the engine was closed"))

    def step(self) -> None:
        """One turn of the batch, on the engine's thread: the hot path."""
        self._drop_cancelled()
        self._prefill(self._admit())
        ended = self._model.decode()
        outcomes = self._model.vocode(ended, wait=self._ends_with(ended))
        self._free(ended)
        self._deliver(outcomes)

    def _run(self) -> None:
        end: EngineError = EngineClosed("the engine was closed")
        try:
            self._open()
            while self._wait_for_work():
                self._turn()
        except EngineError as error:
            end = error
        except Exception as error:
            logger.exception("the engine broke")
            end = EngineError(_words(error))
        finally:
            self._end(end)
            self._model.close()

    def _open(self) -> None:
        for phase, work in (
            (Phase.LOADING, self._model.load),
            (Phase.WARMING, self._model.warm_up),
        ):
            if self._closing:
                return
            self._lifecycle.enter(phase)
            work()
        offer = self._model.offer()
        slots = self._slots or offer.slots
        with self._work:
            self._scheduler = Scheduler(slots, reserve_of(slots, self._interactive_share))
        self._lifecycle.open(replace(offer, slots=slots))
        start_renewal(self._model, self._lifecycle)

    def _end(self, error: EngineError) -> None:
        self._lifecycle.end(error)
        self._promises.fail_all(error)

    def _refusal(self, request: ChunkRequest) -> EngineError | None:
        if (refusal := self._lifecycle.refusal()) is not None:
            return refusal
        try:
            self._model.check(request)
        except EngineError as error:
            return error
        return None

    def _is_idle(self) -> bool:
        return not (self._scheduler.active or self._scheduler.waiting or self._sounding)

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False if that is to end."""
        with self._work:
            while self._is_idle() and not self._closing:
                self._work.wait()
            return not self._closing

    def _turn(self) -> None:
        """One step, whatever comes of it but the end of the device, and the news of it."""
        self._has_left = False
        try:
            self.step()
        except Exception as error:
            if is_device_fault(error):
                raise
            logger.exception("a step of the engine failed")
            self._fail_batch(error)
        with self._work:
            self._steps += 1
            self._stepped_s = self._clock()
        if self._has_left:
            self._lifecycle.tell_room()

    def _drop_cancelled(self) -> None:
        with self._work:
            dropped = {name: self._scheduler.cancel(name) for name in self._cancelled}
            for name in self._cancelled:
                self._sounding.pop(name, None)
            self._cancelled.clear()
        for request_id in dropped:
            self._end_row(request_id, TakeCancelled("the chunk was cancelled"))
        if slots := [slot for slot in dropped.values() if slot is not None]:
            self._model.release(slots)

    def _admit(self) -> Rows:
        with self._work:
            rows = self._scheduler.admit()
        self._started_s.update((slot, self._clock()) for slot, _ in rows)
        return rows

    def _prefill(self, rows: Rows) -> None:
        """Prepare the admitted rows, or as many of them as the memory holds."""
        while rows:
            try:
                self._model.prefill(rows)
                return
            except (MemoryError, EngineOutOfMemory) as error:
                logger.warning("%d rows more do not fit into memory: %s", len(rows), error)
                self._model.release([slot for slot, _ in rows])
                rows = self._halve(rows)

    def _halve(self, rows: Rows) -> Rows:
        """Return the rows to try next; the others go back to wait. A row that is alone fails."""
        kept = len(rows) // 2
        slots = [slot for slot, _ in rows]
        with self._work:
            if alone := self._scheduler.active == 1:
                self._scheduler.finish(slots[0])
            else:
                self._scheduler.put_back(slots[kept:])
        if alone:
            failure = EngineOutOfMemory("the chunk does not fit into memory, even alone")
            self._end_row(rows[0][1].id, failure)
        return rows[:kept]

    def _ends_with(self, ended: Sequence[int]) -> bool:
        """Tell whether these rows are the last that there are to decode."""
        with self._work:
            return self._scheduler.active == len(ended) and not self._scheduler.waiting

    def _free(self, slots: Sequence[int]) -> None:
        """Let others have the slots of rows whose audio is being made."""
        with self._work:
            for slot in slots:
                request = self._scheduler.finish(slot)
                self._sounding[request.id] = self._started_s[slot]
        self._has_left = self._has_left or bool(slots)

    def _deliver(self, outcomes: Mapping[str, Outcome]) -> None:
        for request_id, outcome in outcomes.items():
            with self._work:
                started_s = self._sounding.pop(request_id, None)
            if isinstance(outcome, Exception):
                self._end_row(request_id, _failure(outcome))
            elif started_s is not None:
                computed_s = self._clock() - started_s
                self._promises.keep(request_id, outcome, self.offer().sample_rate_hz, computed_s)

    def _fail_batch(self, error: Exception) -> None:
        """End every row that has begun. An error here breaks the engine: its state is unknown."""
        with self._work:
            slots = self._scheduler.rows
            begun = [self._scheduler.finish(slot).id for slot in slots] + [*self._sounding]
            self._sounding.clear()
        for request_id in begun:
            self._end_row(request_id, _failure(error))
        self._model.release(slots)
        # What is still being made belongs to nobody now, and must not answer a second try.
        while self._model.vocode((), wait=True):
            pass

    def _end_row(self, request_id: str, error: EngineError) -> None:
        self._has_left = True
        self._promises.fail(request_id, error)


def _failure(error: Exception) -> EngineError:
    """Return what a chunk's future says of an exception of the model."""
    kind = EngineOutOfMemory if isinstance(error, MemoryError | EngineOutOfMemory) else ChunkFailed
    failure = kind(_words(error))
    failure.__cause__ = error
    return failure


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
