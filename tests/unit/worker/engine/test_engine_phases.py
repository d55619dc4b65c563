"""An engine from loading to its close, and what it tells of itself meanwhile."""

from __future__ import annotations

import json
import threading

import pytest

from tests.unit.worker.engine.baton import PATIENCE_S
from tests.unit.worker.engine.chunks import bursts, chunk
from worker.engine.engine import Engine
from worker.engine.errors import (
    EngineClosed,
)
from worker.engine.fake import FakeModel, FakeOptions
from worker.engine.lifecycle import Phase


def test_an_engine_that_loads_takes_no_work(baton, engines):
    engine = engines(FakeModel(FakeOptions(load_s=1), sleep=baton), ready=False)
    baton.wait_for_burst()

    future = engine.submit(chunk("early"))

    assert isinstance(future.exception(timeout=0), EngineClosed)
    assert engine.phase is Phase.LOADING
    assert engine.capacity(interactive=True) == 0
    with pytest.raises(EngineClosed):
        engine.offer()


def test_the_phases_are_told_in_order(engines):
    phases: list[str] = []
    engine = engines(on_phase=lambda phase, detail: phases.append(phase))

    engine.close()

    assert phases == ["loading", "warming", "ready", "closed"]


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
