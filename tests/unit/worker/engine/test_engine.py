"""The engine: chunks join and leave the batch, and every future ends exactly once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, wait
from typing import Any

import numpy as np
import pytest

from tests.unit.worker.engine.baton import PATIENCE_S
from tests.unit.worker.engine.chunks import CountingModel, bursts, chunk
from worker.engine.errors import (
    ChunkFailed,
    TakeCancelled,
    UnknownVoice,
    UnsupportedLanguage,
)
from worker.engine.fake import NOTE_S, FakeModel, FakeOptions, tones
from worker.engine.request import ChunkRequest


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


def test_a_callback_may_ask_the_engine_for_more(engines):
    engine = engines(slots=1)
    chain: Future[Any] = Future()

    def ask(future: Future[Any]) -> None:
        engine.cancel("a")
        engine.submit(chunk("a")).add_done_callback(lambda next_: chain.set_result(next_.result()))

    engine.submit(chunk("a")).add_done_callback(ask)

    assert chain.result(PATIENCE_S)


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
