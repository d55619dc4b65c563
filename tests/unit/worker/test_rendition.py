"""A rendition: takes in the order of the text, however the engine finishes them."""

from __future__ import annotations

import random
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.engine import Engine
from worker.engine.errors import ChunkFailed, ChunkTooLong, TakeCancelled
from worker.engine.fake import FakeModel, FakeOptions, tones
from worker.engine.long_work import fact_of
from worker.engine.progress import Progress, Stage
from worker.engine.request import ChunkRequest, Recording, Take
from worker.guard import Guard
from worker.rendition import Rendition
from worker.stage_notes import StageNotes
from worker.take_source import OwnTakes


class HandEngine:
    """An engine that finishes what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.futures: dict[str, Future[Take]] = {}
        self.most_at_once = 0

    def submit(self, request: ChunkRequest) -> Future[Take]:
        future = self.futures[request.id] = Future()
        self.most_at_once = max(self.most_at_once, len(self.unfinished))
        return future

    def cancel(self, request_id: str) -> None:
        future = self.futures[request_id]
        if not future.done():
            future.set_exception(TakeCancelled("cancelled"))

    @property
    def unfinished(self) -> list[str]:
        return [name for name, future in self.futures.items() if not future.done()]

    def finish(self, request_id: str) -> None:
        samples = np.full(1, float(request_id), np.float32)
        self.futures[request_id].set_result(Take(samples, 24000))


def chunks(n: int) -> list[ChunkRequest]:
    return [ChunkRequest(str(k), "text", "en", "default", 0) for k in range(n)]


def read(rendition: Rendition, engine: HandEngine, order: random.Random) -> list[int]:
    """Read all takes; before each, the engine finishes chunks in any order until it is there."""
    heard: list[int] = []
    takes = rendition.takes()
    while engine.unfinished or str(len(heard)) in engine.futures:
        while not engine.futures[str(len(heard))].done():
            engine.finish(order.choice(engine.unfinished))
        heard.append(int(next(takes).take.samples[0]))
    assert next(takes, None) is None
    return heard


@given(n=st.integers(1, 30), ahead=st.integers(1, 8), seed=st.integers(0, 1000))
def test_takes_come_in_order_and_never_more_than_the_limit_are_in_the_engine(n, ahead, seed):
    engine = HandEngine()
    rendition = Rendition(OwnTakes(Guard(engine, guarded=False)), chunks(n), n, ahead)

    heard = read(rendition, engine, random.Random(seed))

    assert heard == list(range(n))
    assert engine.most_at_once <= ahead


def test_a_long_text_is_asked_for_some_chunks_at_a_time():
    looks: list[int] = []

    class Source(OwnTakes):
        def look(self, requests):
            looks.append(len(requests))
            return super().look(requests)

    engine = HandEngine()
    rendition = Rendition(Source(Guard(engine, guarded=False)), chunks(200), 200, ahead=64)

    assert read(rendition, engine, random.Random(1)) == list(range(200))
    assert looks[0] == 64
    # Four at a time, and at last what is left.
    assert set(looks[1:35]) == {4}
    assert sum(looks) == 200


def test_the_first_failure_ends_it_and_takes_the_rest_out_of_the_engine():
    engine = HandEngine()
    takes = Rendition(OwnTakes(Guard(engine, guarded=False)), chunks(4), 4, ahead=3).takes()
    engine.finish("0")
    engine.futures["1"].set_exception(ChunkFailed("no"))

    heard = [int(next(takes).take.samples[0])]
    with pytest.raises(ChunkFailed):
        next(takes)

    assert heard == [0]
    assert engine.unfinished == []


def test_cancelling_takes_every_chunk_out_of_the_engine():
    engine = HandEngine()
    rendition = Rendition(OwnTakes(Guard(engine, guarded=False)), chunks(5), 5, ahead=3)
    takes = rendition.takes()

    rendition.cancel()

    assert engine.unfinished == []
    with pytest.raises(TakeCancelled):
        next(takes)


def test_nothing_more_is_asked_of_the_engine_after_a_cancel():
    engine = HandEngine()
    rendition = Rendition(OwnTakes(Guard(engine, guarded=False)), chunks(5), 5, ahead=2)
    takes = rendition.takes()
    engine.finish("0")

    rendition.cancel()

    with pytest.raises(TakeCancelled):
        list(takes)
    assert set(engine.futures) == {"0", "1"}


def test_a_chunk_that_is_too_long_is_spoken_in_parts_and_in_order():
    engine = Engine(FakeModel(FakeOptions(limit_chars=12)))
    engine.start()
    engine.ready.result(10)
    texts = ["Hello there.", "One is here. Two is there, and three.", "Goodbye."]
    wanted = ["Hello there.", "One is here.", "Two is", "there,", "and three.", "Goodbye."]
    requests = [ChunkRequest(str(n), text, "en", "default", 0) for n, text in enumerate(texts)]
    rendition = Rendition(OwnTakes(Guard(engine, guarded=False)), requests, 3, ahead=2)

    lengths = [len(judged.take.samples) for judged in rendition.takes()]

    note = len(tones(replace(requests[0], text="a")))
    assert lengths == [len(text) * note for text in wanted]
    assert rendition.chunks == len(wanted)
    engine.close()


def test_a_chunk_that_cannot_be_cut_fails():
    engine = HandEngine()
    letter = [replace(chunks(1)[0], text="a")]
    rendition = Rendition(OwnTakes(Guard(engine, guarded=False)), letter, 1, ahead=2)
    engine.futures["0"].set_exception(ChunkTooLong("one letter is too much"))

    with pytest.raises(ChunkTooLong):
        next(rendition.takes())


def test_nothing_is_cut_after_a_cancel():
    engine = HandEngine()
    rendition = Rendition(OwnTakes(Guard(engine, guarded=False)), chunks(1), 1, ahead=2)
    engine.futures["0"].set_exception(ChunkTooLong("too much"))
    rendition.cancel()

    with pytest.raises(TakeCancelled):
        next(rendition.takes())
    assert set(engine.futures) == {"0"}


def test_a_long_recording_that_is_waited_for_is_told_of(monkeypatch):
    monkeypatch.setattr("worker.rendition.TELLING_S", 0.001)
    engine, told = HandEngine(), []
    recording = Recording("a.wav", 16000, 16000 * 3600, "scratch")
    request = replace(next(iter(chunks(1))), recording=recording)

    def tell(one: ChunkRequest) -> None:
        told.append(one.id)
        if len(told) == 3:
            engine.finish("0")

    source = OwnTakes(Guard(engine, guarded=False))
    takes = list(Rendition(source, [request], 1, ahead=2, tell=tell).takes())

    assert len(takes) == 1
    assert told == ["0"] * 3


@pytest.mark.parametrize(
    ("far", "converted_s"),
    [
        (Progress(Stage.READING, 0.5), 0.0),
        (Progress(Stage.PITCH, 1.0), 0.0),
        (Progress(Stage.CONVERTING, 0.25), 900.0),
        (Progress(Stage.FINISHING, 0.5), 3600.0),
    ],
)
def test_what_is_done_with_a_long_recording_reaches_its_row(far, converted_s):
    request = replace(next(iter(chunks(1))), recording=Recording("a.wav", 16000, 57_600_000, "x"))
    told = []
    facts = {fact_of(request.id): far.encode()}
    station = SimpleNamespace(engine=SimpleNamespace(snapshot=lambda: facts))
    attempt = SimpleNamespace(progress=lambda *said, **stage: told.append((*said, stage)))

    notes = StageNotes(attempt)

    notes.look(station, request)
    facts.clear()
    notes.look(station, request)

    assert told == [(1, 0, converted_s, {"stage": far.stage, "stage_share": far.share})]


def test_it_is_noted_now_and_then_how_far_a_recording_is_checked():
    told, now_s = [], [100.0]
    attempt = SimpleNamespace(progress=lambda *_, **stage: told.append(stage["stage_share"]))
    notes = StageNotes(attempt, clock=lambda: now_s[0])

    for percent in range(100):
        now_s[0] += 0.125
        notes.read(Progress(Stage.CHECKING, percent / 100))

    assert told == [0.39, 0.79]
