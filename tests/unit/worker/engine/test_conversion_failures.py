"""What fails in the convert stage, fails alone where it can."""

from __future__ import annotations

from tests.unit.worker.engine.baton import PATIENCE_S
from tests.unit.worker.engine.conversions import (
    WatchedConverter,
    converted,
    spoken,
)
from worker.engine.errors import (
    ChunkFailed,
    EngineOutOfMemory,
    UnfitAudio,
)
from worker.engine.fake import NOTE_S, FakeModel, FakeOptions
from worker.engine.fake_converter import FakeConverter
from worker.engine.lifecycle import Phase
from worker.engine.request import Recording


def test_a_conversion_that_fails_leaves_its_neighbours_alone(converting_engines, baton):
    converter = WatchedConverter(baton, fail_voice="alien")
    engine = converting_engines(converter, slots=4)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    good, bad = engine.submit(spoken("good")), engine.submit(spoken("bad", "alien"))

    baton.let_go()

    assert isinstance(bad.exception(PATIENCE_S), ChunkFailed)
    assert first.result(PATIENCE_S)
    assert good.result(PATIENCE_S)


def test_a_batch_that_stumbles_is_tried_one_by_one(converting_engines, baton):
    converter = WatchedConverter(baton)
    engine = converting_engines(converter, slots=4)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    good, bad, fine = (engine.submit(spoken(name)) for name in ("good", "bad", "fine"))
    converter.stumbles_on = {"bad": RuntimeError("strange")}

    baton.let_go()

    assert isinstance(bad.exception(PATIENCE_S), ChunkFailed)
    assert "RuntimeError: strange" in str(bad.exception())
    for future in (first, good, fine):
        assert future.result(PATIENCE_S)


def test_an_error_of_the_device_breaks_the_engine(converting_engines):
    converter = WatchedConverter()
    converter.stumbles_on = {"a": RuntimeError("CUDA error: illegal address")}
    engine = converting_engines(converter)

    failure = engine.submit(spoken("a")).exception(PATIENCE_S)

    assert "illegal address" in str(failure)
    assert engine.phase is Phase.BROKEN


def test_what_does_not_fit_into_memory_together_is_converted_in_turns(converting_engines, baton):
    second = NOTE_S * 5
    converter = WatchedConverter(baton, memory_s=2.5 * second)
    engine = converting_engines(converter, slots=8)
    first = engine.submit(spoken("first"))
    baton.wait_for_burst()
    futures = [engine.submit(spoken(str(n))) for n in range(7)]

    baton.let_go()

    assert all(future.result(PATIENCE_S) for future in (first, *futures))
    assert max(map(len, converter.batches)) > 2


def test_what_does_not_fit_even_alone_fails_and_the_engine_goes_on(converting_engines):
    engine = converting_engines(FakeConverter(memory_s=1.0), slots=4)

    large = engine.submit(spoken("large", text="m" * 40))
    small = engine.submit(spoken("small"))

    assert isinstance(large.exception(PATIENCE_S), EngineOutOfMemory)
    assert small.result(PATIENCE_S)


def test_a_model_that_stumbles_leaves_the_recordings_alone(converting_engines, recording):
    class Stumbling(FakeModel):
        def decode(self):
            if self._rows:
                raise RuntimeError("strange")
            return super().decode()

    engine = converting_engines(FakeConverter(), Stumbling(FakeOptions(slots=4)))
    speech = engine.submit(spoken("s"))
    unharmed = engine.submit(converted("r", recording()))

    assert isinstance(speech.exception(PATIENCE_S), ChunkFailed)
    assert unharmed.result(PATIENCE_S)
    assert engine.capacity(interactive=True) == 4


def test_a_recording_that_is_gone_fails_its_chunk_alone(converting_engines):
    engine = converting_engines()

    failed = engine.submit(converted("r", Recording("/nowhere.wav", 16000, 1, "/tmp")))

    assert isinstance(failed.exception(PATIENCE_S), UnfitAudio)
    assert engine.submit(spoken("a")).result(PATIENCE_S)
