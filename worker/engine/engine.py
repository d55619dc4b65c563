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

from .conversion import Conversion
from .converter import VoiceConverter
from .device_fault import is_device_fault
from .errors import ChunkFailed, EngineClosed, EngineError, EngineOutOfMemory, TakeCancelled
from .joint_offer import JointOffer
from .lifecycle import Facts, Lifecycle, OnPhase, OnRoom, Phase
from .model import Model, ModelOffer, Outcome
from .promises import Promises
from .request import ChunkRequest, Take
from .whereabouts import Rows, Whereabouts

logger = logging.getLogger(__name__)


class Engine:
    """A `SpeechEngine` that runs its model in this process, on a thread of its own."""

    def __init__(
        self,
        model: Model,
        converter: VoiceConverter | None = None,
        *,
        slots: int | None = None,
        interactive_share: float = 0.1,
        awaited_share: float = 1.0,
        on_room: OnRoom | None = None,
        on_phase: OnPhase | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slots` None is the model's own choice; batch work leaves `interactive_share` of them.

        While somebody waits for speech it keeps to `awaited_share` of them.
        """
        self._model = model
        self._slots = slots
        self._shares = interactive_share, awaited_share
        self._clock = clock
        self._lifecycle = Lifecycle(on_phase, on_room)
        self._promises = Promises(clock)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._where = Whereabouts(clock)
        self._conversion = Conversion(converter)
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
        self._where.add(request)
        return future

    def cancel(self, request_id: str) -> None:
        """See `SpeechEngine`."""
        if request_id in self._promises:
            self._where.ask_to_leave(request_id)

    def capacity(self, interactive: bool = False) -> int:
        """See `SpeechEngine`."""
        if self.phase is not Phase.READY or (not interactive and self._promises.unread.is_much):
            return 0
        return self._where.room(interactive)

    def snapshot(self) -> Facts:
        """See `SpeechEngine`; `last_step_age_s` counts only while there is work."""
        since_s = self._where.busy_since_s
        age_s = 0.0 if since_s is None else self._clock() - max(since_s, self._stepped_s)
        return {
            **self._lifecycle.facts(),
            **self._where.facts(),
            **self._conversion.facts(),
            "steps": self._steps,
            "last_step_age_s": round(age_s, 3),
            **self._promises.facts(),
        }

    def close(self, timeout_s: float = 10.0) -> None:
        """See `SpeechEngine`. A model that hangs is left behind after `timeout_s`."""
        self._where.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        self._end(EngineClosed("the engine was closed"))

    def step(self) -> None:
        """One turn of the batch, on the engine's thread: the hot path."""
        self._drop_cancelled()
        self._prefill(self._admit())
        ended = self._model.decode()
        spoken = self._model.vocode(ended, wait=self._where.ends_with(ended))
        self._free(ended)
        converted = self._conversion.turn(
            spoken, busy=self._where.is_decoding, awaited=self._where.is_awaited
        )
        self._deliver(converted)

    def _run(self) -> None:
        end: EngineError = EngineClosed("the engine was closed")
        try:
            self._open()
            while self._where.wait():
                self._turn()
        except EngineError as error:
            end = error
        except Exception as error:
            logger.exception("the engine broke")
            end = EngineError(_words(error))
        finally:
            self._end(end)
            self._conversion.close()
            self._model.close()

    def _open(self) -> None:
        # The converter first: the model takes what memory is left.
        for phase, parts in (
            (Phase.LOADING, (self._conversion.load, self._model.load)),
            (Phase.WARMING, (self._model.warm_up, self._conversion.warm_up)),
        ):
            if self._where.is_closed:
                return
            self._lifecycle.enter(phase)
            for part in parts:
                part()
        offer = self._model.offer()
        slots = self._slots or offer.slots
        self._where.open(slots, *self._shares)
        self._conversion.open(offer.sample_rate_hz)
        joint = JointOffer(self._model, self._conversion)
        self._lifecycle.open(replace(joint.offer(), slots=slots))
        joint.keep_true(self._lifecycle)

    def _end(self, error: EngineError) -> None:
        self._lifecycle.end(error)
        self._promises.fail_all(error)

    def _refusal(self, request: ChunkRequest) -> EngineError | None:
        if (refusal := self._lifecycle.refusal()) is not None:
            return refusal
        try:
            self._conversion.check(request)
            if request.recording is None:
                self._model.check(request)
        except EngineError as error:
            return error
        return None

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
        self._steps += 1
        self._stepped_s = self._clock()
        if self._has_left:
            self._lifecycle.tell_room()

    def _drop_cancelled(self) -> None:
        names, slots = self._where.leave()
        self._conversion.drop(names)
        for request_id in names:
            self._end_row(request_id, TakeCancelled("the chunk was cancelled"))
        if slots:
            self._model.release(slots)

    def _admit(self) -> Rows:
        """Let in who may begin; recordings go straight to their conversion."""
        rows = self._where.admit()
        self._conversion.expect(request for _, request in rows)
        return [row for row in rows if row[1].recording is None]

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
        self._conversion.drop(request.id for _, request in rows[kept:])
        if not self._where.put_back([slot for slot, _ in rows[kept:]]):
            failure = EngineOutOfMemory("the chunk does not fit into memory, even alone")
            self._end_row(rows[0][1].id, failure)
        return rows[:kept]

    def _free(self, slots: Sequence[int]) -> None:
        """Rows have ended: their audio is being made."""
        self._where.free(slots)
        self._has_left = self._has_left or bool(slots)

    def _deliver(self, outcomes: Mapping[str, Outcome]) -> None:
        for request_id, outcome in outcomes.items():
            computed_s = self._where.end(request_id)
            if isinstance(outcome, EngineError):
                self._end_row(request_id, outcome)
            elif isinstance(outcome, Exception):
                self._end_row(request_id, _failure(outcome))
            elif computed_s is not None:
                self._has_left = True
                self._promises.keep(request_id, outcome, self.offer().sample_rate_hz, computed_s)

    def _fail_batch(self, error: Exception) -> None:
        """End every row that has begun. An error here breaks the engine: its state is unknown."""
        begun, slots = self._where.fail(spared=self._conversion.held)
        self._conversion.drop(begun)
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
