"""What an engine offers changes while it runs, if its model says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.conftest import eventually
from worker.engine import renewal
from worker.engine.engine import Engine
from worker.engine.fake import FakeModel, FakeOptions
from worker.engine.model import ModelOffer, ModelVoice

PATIENCE_S = 30.0


class ChangingModel(FakeModel):
    """Offers another voice when it is told to."""

    added: ModelVoice | None = None
    looks = 0
    fault: Exception | None = None

    def renew(self) -> ModelOffer | None:
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        voice, self.added = self.added, None
        offer = self.offer()
        return replace(offer, voices=(*offer.voices, voice)) if voice else None


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(renewal, "LOOK_S", 0.01)


@pytest.fixture
def others() -> set[threading.Thread]:
    """Threads that were there before: other engines of this process have theirs."""
    return set(threading.enumerate())


@pytest.fixture
def model() -> ChangingModel:
    return ChangingModel(FakeOptions())


@pytest.fixture
def engine(others, model) -> Iterator[Engine]:
    engine = Engine(model, slots=3)
    engine.start()
    engine.ready.result(PATIENCE_S)
    yield engine
    engine.close()


def names(engine: Engine) -> set[str]:
    return {voice.name for voice in engine.offer().voices}


def test_a_voice_that_comes_later_is_offered_in_as_many_slots(model, engine):
    model.added = ModelVoice("anna", "1")

    eventually(lambda: "anna" in names(engine), PATIENCE_S)

    assert engine.offer().slots == 3


def test_nobody_looks_after_the_engine_has_ended(model, engine, others):
    eventually(lambda: model.looks > 1, PATIENCE_S)

    engine.close()

    assert renewal_threads(others) == []


def test_a_model_that_cannot_look_offers_what_it_did(model, engine, others):
    before = names(engine)
    model.fault = RuntimeError("no")

    eventually(lambda: not renewal_threads(others), PATIENCE_S)

    assert names(engine) == before


def test_a_model_whose_offer_stays_has_no_thread(engine_of_fixed_offer, others):
    assert renewal_threads(others) == []
    assert engine_of_fixed_offer.offer().voices


@pytest.fixture
def engine_of_fixed_offer(others) -> Iterator[Engine]:
    engine = Engine(FakeModel(FakeOptions()))
    engine.start()
    engine.ready.result(PATIENCE_S)
    yield engine
    engine.close()


def renewal_threads(others: set[threading.Thread]) -> list[threading.Thread]:
    def running() -> list[threading.Thread]:
        new = set(threading.enumerate()) - others
        return [one for one in new if one.name == "engine-renewal"]

    for thread in running():
        # One that is just being started is listed, and cannot be waited for yet.
        with suppress(RuntimeError):
            thread.join(0.5)
    return running()
