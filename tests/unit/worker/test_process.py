"""The worker's side of an engine process, with a puppet in the process's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from puppet_host import Puppet

from tests.conftest import eventually
from worker import watch
from worker.engine.errors import EngineClosed, EngineDied, EngineError, TakeCancelled, UnknownVoice
from worker.engine.fake import SAMPLE_RATE_HZ, FakeModel, FakeOptions
from worker.engine.lifecycle import Phase
from worker.engine.registry import EngineSpec
from worker.engine.request import ChunkRequest
from worker.process import EngineProcess

#: Only a broken engine takes so long.
PATIENCE_S = 10.0

OFFER = asdict(FakeModel(FakeOptions(slots=2)).offer())


@pytest.fixture
def puppets(monkeypatch: pytest.MonkeyPatch) -> list[Puppet]:
    """Every process that was started, the last one last."""
    made: list[Puppet] = []

    def make(*arguments: Any) -> Puppet:
        made.append(Puppet(*arguments))
        return made[-1]

    monkeypatch.setattr(watch, "Host", make)
    monkeypatch.setattr(watch, "LOAD_PAUSE_S", 0.0)
    return made


@pytest.fixture
def engines(puppets: list[Puppet]) -> Iterator[Callable[..., EngineProcess]]:
    """Make engines whose first puppet is ready; all are closed at the end."""
    made: list[EngineProcess] = []

    def make(ready: bool = True, **settings: Any) -> EngineProcess:
        engine = EngineProcess(EngineSpec("fake", interactive_share=0.0), **settings)
        made.append(engine)
        engine.start()
        eventually(lambda: puppets)
        if ready:
            puppets[0].says(offer=OFFER)
            engine.ready.result(PATIENCE_S)
        return engine

    yield make
    for engine in made:
        engine.close()


def chunk(name: str) -> ChunkRequest:
    return ChunkRequest(name, "Hello", "en", "default", 7, {"speed": 1.0})


def test_it_is_ready_when_the_process_makes_its_offer(engines):
    phases: list[str] = []

    engine = engines(on_phase=lambda phase, detail: phases.append(phase))

    assert asdict(engine.offer()) == OFFER
    assert engine.capacity(interactive=True) == 2
    assert phases == ["loading", "ready"]


def test_before_that_it_takes_no_work(engines):
    engine = engines(ready=False)

    assert isinstance(engine.submit(chunk("a")).exception(timeout=0), EngineClosed)
    assert engine.capacity(interactive=True) == 0
    with pytest.raises(EngineClosed):
        engine.offer()


def test_capacity_is_known_before_the_process_has_heard_of_a_chunk(engines):
    engine = engines()

    engine.submit(chunk("a"))

    assert engine.capacity(interactive=True) == 1


def test_the_request_arrives_as_it_was_made(engines, puppets):
    engine = engines()

    engine.submit(chunk("a"))

    eventually(lambda: puppets[0].submitted)
    assert ChunkRequest(**puppets[0].heard[-1]["submit"]) == chunk("a")


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_take_is_put_together_from_its_pieces(engines, puppets, pieces):
    samples = np.linspace(-1, 1, 1000, dtype=np.float32)
    engine = engines()
    future = engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)

    puppets[0].speaks("a", samples, pieces)

    take = future.result(PATIENCE_S)
    assert np.array_equal(take.samples, samples)
    assert (take.sample_rate_hz, take.computed_s) == (SAMPLE_RATE_HZ, 0.5)
    assert (take.trimmed_s, take.truncated) == (1.25, True)


def test_takes_of_two_chunks_may_come_at_the_same_time(engines, puppets):
    engine = engines()
    futures = {name: engine.submit(chunk(name)) for name in "ab"}
    eventually(lambda: len(puppets[0].submitted) == 2)

    for number, name in enumerate("ab"):
        puppets[0].speaks(name, np.full(10, number, np.float32))

    for number, name in enumerate("ab"):
        assert set(futures[name].result(PATIENCE_S).samples) == {number}


def test_an_error_arrives_as_what_it_was(engines, puppets):
    engine = engines()
    future = engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)

    puppets[0].says(failed="a", error="UnknownVoice", words="no such voice")

    error = future.exception(PATIENCE_S)
    assert isinstance(error, UnknownVoice)
    assert str(error) == "no such voice"


def test_a_chunk_is_submitted_again_when_the_process_has_died(engines, puppets):
    engine = engines()
    future = engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)

    puppets[0].dies()
    eventually(lambda: len(puppets) == 2)
    puppets[1].says(offer=OFFER)
    eventually(lambda: puppets[1].submitted)
    puppets[1].speaks("a", np.ones(10, np.float32))

    assert future.result(PATIENCE_S)
    snapshot = engine.snapshot()
    assert (snapshot["deaths"], snapshot["restarts"]) == (1, 1)


def test_half_a_take_of_a_dead_process_is_not_heard(engines, puppets):
    engine = engines()
    future = engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)

    puppets[0].speaks("a", np.zeros(10, np.float32), pieces=2, said=1)
    puppets[0].dies()
    eventually(lambda: len(puppets) == 2)
    puppets[1].says(offer=OFFER)
    eventually(lambda: puppets[1].submitted)
    puppets[1].speaks("a", np.ones(10, np.float32))

    assert np.array_equal(future.result(PATIENCE_S).samples, np.ones(10, np.float32))


def test_a_chunk_that_comes_while_the_process_is_replaced_waits_for_the_next(engines, puppets):
    engine = engines()
    puppets[0].dies()
    eventually(lambda: engine.phase is Phase.LOADING)

    future = engine.submit(chunk("a"))
    room = engine.capacity(interactive=True)
    eventually(lambda: len(puppets) == 2)
    puppets[1].says(offer=OFFER)
    eventually(lambda: puppets[1].submitted)
    puppets[1].speaks("a", np.ones(10, np.float32))

    assert room == 0
    assert future.result(PATIENCE_S)


def test_a_chunk_is_given_up_after_so_many_deaths(engines, puppets):
    engine = engines(max_deaths=2)
    future = engine.submit(chunk("a"))

    for number in range(2):
        eventually(lambda number=number: len(puppets) > number)
        puppets[number].says(offer=OFFER)
        eventually(lambda number=number: puppets[number].submitted)
        puppets[number].dies()

    error = future.exception(PATIENCE_S)
    assert isinstance(error, EngineDied)
    assert "it was told to" in str(error)


def test_a_process_without_a_step_while_it_has_work_is_killed(engines, puppets):
    engine = engines(hang_s=0.0)

    engine.submit(chunk("a"))

    eventually(lambda: len(puppets) == 2)
    assert "no step" in puppets[0].reason


def test_a_process_without_work_may_stand_still(engines, puppets):
    engine = engines(hang_s=0.0)

    for step in range(3):
        puppets[0].says(beat=step)
    eventually(lambda: engine.snapshot()["steps"] == 2)

    assert len(puppets) == 1


def test_what_only_the_process_can_count_is_among_the_facts(engines, puppets):
    engine = engines()

    puppets[0].says(facts={"rvc_evictions": 3})

    eventually(lambda: engine.snapshot().get("rvc_evictions") == 3)


def test_the_process_is_told_of_a_cancelled_chunk(engines, puppets):
    engine = engines()
    future = engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)

    engine.cancel("a")
    eventually(lambda: {"cancel": "a"} in puppets[0].heard)
    puppets[0].says(failed="a", error="TakeCancelled", words="cancelled")

    assert isinstance(future.exception(PATIENCE_S), TakeCancelled)


def test_a_chunk_cancelled_between_two_processes_ends_at_once(engines, puppets):
    engine = engines()
    future = engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)
    puppets[0].dies()
    eventually(lambda: len(puppets) == 2)

    engine.cancel("a")

    assert isinstance(future.exception(PATIENCE_S), TakeCancelled)
    assert puppets[1].submitted == []


def test_it_is_broken_when_the_process_cannot_load(engines, puppets):
    details: list[str] = []
    engine = engines(ready=False, on_phase=lambda phase, detail: details.append(detail))

    for number in range(watch.LOAD_TRIES):
        eventually(lambda number=number: len(puppets) > number)
        puppets[number].says(phase="broken", detail="no weights")

    error = engine.ready.exception(PATIENCE_S)
    assert isinstance(error, EngineError)
    assert "no weights\nlast words" in str(error)
    assert engine.phase is Phase.BROKEN
    assert "no weights" in details[-1]


def test_every_life_that_was_ready_gives_back_the_tries_to_load(engines, puppets):
    engine = engines()

    for number in range(1, 8):
        puppets[-1].dies()
        eventually(lambda number=number: len(puppets) > number)
        if number in (3, 6):
            puppets[-1].says(offer=OFFER)
            eventually(lambda: engine.phase is Phase.READY)

    assert engine.phase is not Phase.BROKEN


def test_room_is_told_when_a_chunk_has_left(engines, puppets):
    rooms: list[int] = []
    engine = engines(on_room=lambda: rooms.append(1))
    told = len(rooms)
    engine.submit(chunk("a"))
    eventually(lambda: puppets[0].submitted)

    puppets[0].speaks("a", np.ones(1, np.float32))

    eventually(lambda: len(rooms) > told)
    assert engine.capacity(interactive=True) == 2


def test_pending_chunks_end_as_closed(engines, puppets):
    engine = engines()
    future = engine.submit(chunk("a"))

    engine.close()

    assert isinstance(future.exception(timeout=0), EngineClosed)
    assert isinstance(engine.submit(chunk("b")).exception(timeout=0), EngineClosed)
    assert engine.phase is Phase.CLOSED


def test_it_can_be_closed_before_it_was_started():
    engine = EngineProcess(EngineSpec("fake"))

    engine.close()

    assert isinstance(engine.ready.exception(timeout=0), EngineClosed)
