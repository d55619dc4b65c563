"""What fails in an engine: the chunk alone, its batch, or the engine as a whole."""

from __future__ import annotations

import pytest

from tests.unit.worker.engine.baton import PATIENCE_S
from tests.unit.worker.engine.chunks import StumblingModel, bursts, chunk
from worker.engine.errors import (
    ChunkFailed,
    EngineClosed,
    EngineError,
    EngineOutOfMemory,
)
from worker.engine.fake import FakeModel, FakeOptions
from worker.engine.lifecycle import Phase


def test_a_chunk_that_fails_leaves_its_neighbours_alone(engines):
    engine = engines(slots=3, fail_on="bad")

    good, bad, fine = (engine.submit(chunk(text, text)) for text in ("good", "bad", "fine"))

    assert isinstance(bad.exception(PATIENCE_S), ChunkFailed)
    assert good.result(PATIENCE_S)
    assert fine.result(PATIENCE_S)


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
