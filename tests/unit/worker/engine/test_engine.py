"""The engine: chunks join and leave the batch, and every future ends exactly once."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
import pytest

from tests.unit.worker.engine.baton import PATIENCE_S, Baton
from worker.engine.engine import Engine
from worker.engine.errors import (
    ChunkFailed,
    EngineClosed,
    EngineError,
    EngineOutOfMemory,
    TakeCancelled,
    UnknownVoice,
    UnsupportedLanguage,
)
from worker.engine.fake import NOTE_S, FakeModel, FakeOptions, tones
from worker.engine.lifecycle import Phase
from worker.engine.request import ChunkRequest


def chunk(name: str, text: str = "Hello", **fields: Any) -> ChunkRequest:
    return ChunkRequest(name, text, "en", fields.pop("voice", "default"), 7, **fields)


def bursts(count: int) -> str:
    """A text that takes so many bursts of the held model."""
    return "m" * count


class CountingModel(FakeModel):
    """Tells how many rows it has."""

    @property
    def rows(self) -> int:
        return len(self._rows)


#: What goes to the engine; every other setting is the fake model's.
ENGINE_SETTINGS = {"clock", "on_room", "on_phase", "interactive_share", "slots"}


@pytest.fixture
def engines() -> Iterator[Callable[..., Engine]]:
    """Make ready engines: `engines(slots=2)`, or `engines(model)`; all are closed at the end."""
    made: list[Engine] = []

    def make(model: FakeModel | None = None, /, ready: bool = True, **settings: Any) -> Engine:
        given = {"interactive_share": 0.0}
        given |= {name: settings.pop(name) for name in ENGINE_SETTINGS & set(settings)}
        engine = Engine(model or FakeModel(FakeOptions(**settings)), **given)
        made.append(engine)
        engine.start()
        if ready:
            engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def baton(engines: Callable[..., Engine]) -> Iterator[Baton]:
    baton = Baton()
    yield baton
    baton.let_go()


@pytest.fixture
def held(engines: Callable[..., Engine], baton: Baton) -> Callable[..., Engine]:
    """Engines whose every burst, one character of text long, waits for the baton."""

    def make(**settings: Any) -> Engine:
        given = {name: settings.pop(name) for name in ENGINE_SETTINGS & set(settings)}
        options = FakeOptions(speed=1, burst_s=NOTE_S, **settings)
        return engines(FakeModel(options, sleep=baton), **given)

    return make


def test_every_chunk_gets_its_own_take_however_many_share_the_batch(engines):
    engine = engines(slots=8)
    requests = [chunk(str(n), f"text number {n}", voice=("low", "high")[n % 2]) for n in range(50)]

    futures = [engine.submit(request) for request in requests]

    for request, future in zip(requests, futures, strict=True):
        take = future.result(PATIENCE_S)
        assert np.array_equal(take.samples, tones(request))
        assert take.sample_rate_hz == engine.offer().sample_rate_hz


def test_a_chunk_joins_and_leaves_while_another_is_being_computed(held, baton):
    engine = held(slots=2)
    long = engine.submit(chunk("long", bursts(5)))
    baton.wait_for_burst()
    short = engine.submit(chunk("short", bursts(1)))
    baton.end_burst()
    baton.wait_for_burst()

    baton.end_burst()

    short.result(PATIENCE_S)
    assert not long.done()


def test_interactive_chunks_go_before_the_batch_chunks_that_wait(engines, baton):
    engine = engines(FakeModel(FakeOptions(speed=1, burst_s=100), sleep=baton), slots=1)
    order: list[str] = []
    first = engine.submit(chunk("first"))
    baton.wait_for_burst()
    waiting = [engine.submit(chunk("book")), engine.submit(chunk("now", interactive=True))]
    for name, future in zip(("book", "now"), waiting, strict=True):
        future.add_done_callback(lambda _, name=name: order.append(name))

    baton.let_go()

    wait([first, *waiting], PATIENCE_S)
    assert order == ["now", "book"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"voice": "anna"}, UnknownVoice), ({"language": "xx"}, UnsupportedLanguage)],
)
def test_what_cannot_be_spoken_is_refused_at_once(held, fields, error):
    engine = held()
    asked = {"id": "a", "text": "Hello", "language": "en", "voice": "default", "seed": 7, **fields}

    future = engine.submit(ChunkRequest(**asked))

    assert isinstance(future.exception(timeout=0), error)
    assert engine.snapshot()["steps"] == 0


def test_an_engine_that_loads_takes_no_work(baton, engines):
    engine = engines(FakeModel(FakeOptions(load_s=1), sleep=baton), ready=False)
    baton.wait_for_burst()

    future = engine.submit(chunk("early"))

    assert isinstance(future.exception(timeout=0), EngineClosed)
    assert engine.phase is Phase.LOADING
    assert engine.capacity(interactive=True) == 0
    with pytest.raises(EngineClosed):
        engine.offer()


def test_the_same_id_cannot_be_in_the_engine_twice(held):
    engine = held()
    engine.submit(chunk("a"))

    with pytest.raises(ValueError, match="already"):
        engine.submit(chunk("a"))


def test_an_id_can_come_again_when_it_has_ended(engines):
    engine = engines()

    for _ in range(3):
        engine.submit(chunk("a")).result(PATIENCE_S)

    assert engine.snapshot()["takes"] == 3


def test_a_cancelled_chunk_leaves_the_batch_between_two_steps(held, baton):
    engine = held(slots=1)
    computed = engine.submit(chunk("computed", bursts(100)))
    waiting = engine.submit(chunk("waiting"))
    baton.wait_for_burst()

    engine.cancel("waiting")
    engine.cancel("computed")
    baton.let_go()

    for future in (computed, waiting):
        assert isinstance(future.exception(PATIENCE_S), TakeCancelled)
    assert engine.submit(chunk("next", bursts(1))).result(PATIENCE_S)
    assert engine.snapshot()["failed"] == 0


def test_the_model_is_told_to_forget_a_cancelled_row(engines, baton):
    model = CountingModel(FakeOptions(speed=1, burst_s=NOTE_S), sleep=baton)
    engine = engines(model)
    future = engine.submit(chunk("a", bursts(100)))
    baton.wait_for_burst()

    engine.cancel("a")
    baton.let_go()
    future.exception(PATIENCE_S)
    engine.close()

    assert model.rows == 0


def test_cancelling_what_is_not_there_is_no_error(engines):
    engine = engines()
    engine.submit(chunk("a")).result(PATIENCE_S)

    engine.cancel("a")
    engine.cancel("stranger")

    assert engine.submit(chunk("b")).result(PATIENCE_S)
    assert engine.snapshot()["failed"] == 0


def test_a_future_cannot_be_cancelled_behind_the_engines_back(held):
    future = held().submit(chunk("a"))

    assert future.cancel() is False


def test_a_chunk_that_fails_leaves_its_neighbours_alone(engines):
    engine = engines(slots=3, fail_on="bad")

    good, bad, fine = (engine.submit(chunk(text, text)) for text in ("good", "bad", "fine"))

    assert isinstance(bad.exception(PATIENCE_S), ChunkFailed)
    assert good.result(PATIENCE_S)
    assert fine.result(PATIENCE_S)


class StumblingModel(CountingModel):
    """Fails once, at one of its methods."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__(FakeOptions())
        self.stumbles = {method: error}

    def _at(self, method: str) -> None:
        if (error := self.stumbles.pop(method, None)) is not None:
            raise error

    def prefill(self, rows):
        super().prefill(rows)
        self._at("prefill")

    def decode(self):
        self._at("decode")
        return super().decode()

    def vocode(self, slots, *, wait):
        self._at("vocode")
        return super().vocode(slots, wait=wait)


@pytest.mark.parametrize("method", ["prefill", "decode", "vocode"])
def test_a_model_that_stumbles_fails_its_batch_and_the_engine_goes_on(engines, method):
    model = StumblingModel(method, RuntimeError("device lost"))
    engine = engines(model, slots=2)

    failed = engine.submit(chunk("a")).exception(PATIENCE_S)

    assert isinstance(failed, ChunkFailed)
    assert "RuntimeError: device lost" in str(failed)
    assert engine.submit(chunk("b")).result(PATIENCE_S)
    assert model.rows == 0
    assert engine.capacity(interactive=True) == 2


def test_running_out_of_memory_while_decoding_says_so(engines):
    engine = engines(StumblingModel("decode", MemoryError("no more")))

    assert isinstance(engine.submit(chunk("a")).exception(PATIENCE_S), EngineOutOfMemory)


def test_what_does_not_fit_into_memory_together_is_computed_in_turns(held, baton):
    engine = held(slots=8, memory_bytes=30, bytes_per_slot=10)
    futures = [engine.submit(chunk(str(n), bursts(3))) for n in range(8)]
    baton.wait_for_burst()

    active = engine.snapshot()["active"]
    room = engine.capacity(interactive=True)
    baton.let_go()

    assert 1 <= active <= 3
    assert room == 0
    assert all(future.result(PATIENCE_S) for future in futures)


def test_a_chunk_that_does_not_fit_even_alone_fails_and_the_engine_goes_on(engines):
    class Narrow(FakeModel):
        def prefill(self, rows):
            if any(len(request.text) > 10 for _, request in rows):
                raise MemoryError
            super().prefill(rows)

    engine = engines(Narrow(FakeOptions(slots=4)))

    small, large, tiny = (
        engine.submit(chunk(text[:5], text)) for text in ("small", "l" * 11, "tiny")
    )

    assert isinstance(large.exception(PATIENCE_S), EngineOutOfMemory)
    assert small.result(PATIENCE_S)
    assert tiny.result(PATIENCE_S)


def test_capacity_counts_what_was_submitted_before_any_step(held, baton):
    engine = held(slots=4, interactive_share=0.25)
    empty = engine.capacity(interactive=False), engine.capacity(interactive=True)
    engine.submit(chunk("a"))
    baton.wait_for_burst()

    engine.submit(chunk("b"))
    engine.submit(chunk("c", interactive=True))

    assert empty == (3, 4)
    assert (engine.capacity(interactive=False), engine.capacity(interactive=True)) == (0, 2)


def test_room_is_told_when_the_engine_is_ready_and_when_a_chunk_has_left(engines):
    told = threading.Semaphore(0)

    engine = engines(slots=2, on_room=told.release, ready=False)
    assert told.acquire(timeout=PATIENCE_S)
    engine.submit(chunk("a"))
    assert told.acquire(timeout=PATIENCE_S)

    assert engine.capacity(interactive=True) == 2


@pytest.mark.parametrize("listener", ["on_room", "callback"])
def test_a_listener_that_raises_harms_nobody(engines, listener):
    def raises(*_: object) -> None:
        raise RuntimeError("not my day")

    engine = engines(**({"on_room": raises} if listener == "on_room" else {}))
    first = engine.submit(chunk("a"))
    if listener == "callback":
        first.add_done_callback(raises)

    assert first.result(PATIENCE_S)
    assert engine.submit(chunk("b")).result(PATIENCE_S)


def test_a_callback_may_ask_the_engine_for_more(engines):
    engine = engines(slots=1)
    chain: Future[Any] = Future()

    def ask(future: Future[Any]) -> None:
        engine.cancel("a")
        engine.submit(chunk("a")).add_done_callback(lambda next_: chain.set_result(next_.result()))

    engine.submit(chunk("a")).add_done_callback(ask)

    assert chain.result(PATIENCE_S)


def test_the_phases_are_told_in_order(engines):
    phases: list[str] = []
    engine = engines(on_phase=lambda phase, detail: phases.append(phase))

    engine.close()

    assert phases == ["loading", "warming", "ready", "closed"]


@pytest.mark.parametrize("error", [EngineError("no weights"), OSError("no weights")])
def test_an_engine_that_cannot_load_is_broken_and_says_why(engines, error):
    class Broken(FakeModel):
        def load(self) -> None:
            raise error

    details: list[str] = []
    engine = engines(Broken(), ready=False, on_phase=lambda phase, detail: details.append(detail))

    failure = engine.ready.exception(PATIENCE_S)

    assert isinstance(failure, EngineError)
    assert "no weights" in str(failure)
    assert engine.phase is Phase.BROKEN
    assert "no weights" in details[-1]
    assert "no weights" in str(engine.submit(chunk("a")).exception(timeout=0))


def test_a_model_that_cannot_release_its_rows_breaks_the_engine(engines):
    class Poisoned(FakeModel):
        def decode(self):
            raise RuntimeError("illegal address")

        def release(self, slots):
            raise RuntimeError("illegal address")

    engine = engines(Poisoned(FakeOptions(slots=1)))

    active, waiting = engine.submit(chunk("a")), engine.submit(chunk("b"))

    assert isinstance(active.exception(PATIENCE_S), ChunkFailed)
    assert isinstance(waiting.exception(PATIENCE_S), EngineError)
    assert engine.phase is Phase.BROKEN


@pytest.mark.parametrize("method", ["prefill", "decode", "vocode"])
def test_an_error_of_the_device_breaks_the_engine(engines, method):
    engine = engines(StumblingModel(method, RuntimeError("CUDA error: device-side assert")))

    failure = engine.submit(chunk("a")).exception(PATIENCE_S)

    assert "device-side assert" in str(failure)
    assert engine.phase is Phase.BROKEN
    assert isinstance(engine.submit(chunk("b")).exception(PATIENCE_S), EngineClosed)


def test_all_calls_of_the_model_come_from_one_thread(engines):
    threads: set[int] = set()

    class Watched(FakeModel):
        def __getattribute__(self, name):
            if name in {"load", "warm_up", "prefill", "decode", "vocode", "release", "close"}:
                threads.add(threading.get_ident())
            return super().__getattribute__(name)

    engine = engines(Watched(FakeOptions(slots=2)))
    engine.submit(chunk("a")).result(PATIENCE_S)
    engine.cancel("a")
    engine.close()

    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_chunks_in_a_closing_engine_end_as_closed(held, baton):
    engine = held(slots=2)
    first, active, waiting = (
        engine.submit(chunk(name, bursts(count)))
        for name, count in (("first", 1), ("active", 9), ("waiting", 1))
    )
    first.add_done_callback(lambda _: engine.close())

    baton.let_go()

    assert first.result(PATIENCE_S)
    for future in (active, waiting, engine.submit(chunk("late"))):
        assert isinstance(future.exception(PATIENCE_S), EngineClosed)
    assert engine.phase is Phase.CLOSED


def test_a_model_that_hangs_is_left_behind_at_the_close(held, baton):
    engine = held()
    future = engine.submit(chunk("a"))
    baton.wait_for_burst()

    engine.close(timeout_s=0)

    assert isinstance(future.exception(timeout=0), EngineClosed)
    assert engine.phase is Phase.CLOSED


def test_an_engine_can_be_closed_before_it_was_started():
    engine = Engine(FakeModel())

    engine.close()

    assert engine.phase is Phase.CLOSED
    assert isinstance(engine.ready.exception(timeout=0), EngineClosed)


def test_the_snapshot_is_plain_json_and_the_step_ages_only_while_work_waits(held, baton):
    now_s = 100.0
    engine = held(slots=2, clock=lambda: now_s)
    now_s = 150.0
    idle = engine.snapshot()
    engine.submit(chunk("a", bursts(5)))
    baton.wait_for_burst()
    now_s = 153.0

    busy = engine.snapshot()

    assert json.loads(json.dumps(idle)) == idle
    assert idle["last_step_age_s"] == 0
    assert busy["last_step_age_s"] == 3.0
    assert (busy["active"], busy["waiting"], busy["slots"]) == (1, 0, 2)
    assert (busy["phase"], busy["engine"], busy["device"]) == ("ready", "fake", "cpu")


def test_a_take_tells_how_long_it_waited_and_how_long_it_took(held, baton):
    now_s = 0.0
    engine = held(slots=1, clock=lambda: now_s)
    engine.submit(chunk("before", bursts(1)))
    baton.wait_for_burst()
    future = engine.submit(chunk("a", bursts(1)))
    now_s = 5.0
    baton.end_burst()
    baton.wait_for_burst()
    now_s = 7.0
    baton.end_burst()

    take = future.result(PATIENCE_S)

    assert (take.waited_s, take.computed_s) == (5.0, 2.0)


@pytest.mark.parametrize("seed", range(5))
def test_every_future_ends_once_whatever_happens_at_the_same_time(engines, seed):
    dice = random.Random(seed)
    engine = engines(slots=3, fail_on="bad", memory_bytes=2)
    texts = dice.choices(["good", "bad", "a longer text"], k=120)
    futures: dict[str, Future[Any]] = {}
    endings: list[str] = []

    def submit(names: list[str]) -> None:
        for name in names:
            future = engine.submit(chunk(name, texts[int(name)], interactive=dice.random() < 0.3))
            futures[name] = future
            future.add_done_callback(lambda _, name=name: endings.append(name))
            if dice.random() < 0.3:
                engine.cancel(str(dice.randrange(120)))

    names = [str(n) for n in range(120)]
    threads = [threading.Thread(target=submit, args=(names[k::4],)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not wait(futures.values(), PATIENCE_S).not_done

    assert sorted(endings, key=int) == names
    for name, future in futures.items():
        expected = (TakeCancelled, ChunkFailed) if texts[int(name)] == "bad" else TakeCancelled
        assert future.exception() is None or isinstance(future.exception(), expected)
    snapshot = engine.snapshot()
    assert (snapshot["active"], snapshot["waiting"]) == (0, 0)
    assert engine.capacity(interactive=True) == 3


class LateModel(FakeModel):
    """Makes the audio of a row one step after the row has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._late: dict[str, Any] = {}

    def vocode(self, slots, *, wait):
        done, self._late = self._late, dict(super().vocode(slots, wait=wait))
        if wait and not done:
            done, self._late = self._late, {}
        return done


def test_a_slot_is_free_for_another_row_while_the_audio_is_made(engines):
    engine = engines(LateModel(), slots=1)

    futures = [engine.submit(chunk(name)) for name in "abc"]

    for name, future in zip("abc", futures, strict=True):
        assert np.array_equal(future.result(PATIENCE_S).samples, tones(chunk(name)))
    assert engine.snapshot()["sounding"] == 0
