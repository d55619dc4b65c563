"""What the engine offers stands in the catalogue, and changes there when it changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable

from producer.job import speech_job
from producer.queues import CATALOGUE_KEY
from producer.voices import Catalogue
from tests.conftest import eventually
from worker import announcer
from worker.announcer import Announcer
from worker.engine.model import ModelOffer, ModelVoice

ONE = ModelOffer(
    engine="xtts",
    revision="r",
    device="cpu",
    sample_rate_hz=24000,
    slots=1,
    languages=("en",),
    voices=(ModelVoice("anna", "1"),),
)
TWO = replace(ONE, voices=(*ONE.voices, ModelVoice("bert", "2")))


@dataclass
class Redis:
    """One hash, which can be away for a while."""

    fields: dict[str, str] = field(default_factory=dict)
    failures: int = 0

    def eval(self, script: str, count: int, key: str, name: str, text: str) -> None:
        assert ("HSET" in script, count, key) == (True, 1, CATALOGUE_KEY)
        if self.failures:
            self.failures -= 1
            raise Unreachable("away")
        self.fields[name] = text

    def hget(self, key: str, name: str) -> str | None:
        assert key == CATALOGUE_KEY
        return self.fields.get(name)

    @property
    def voices(self) -> set[str]:
        return {voice.name for voice in Catalogue.decode(self.fields).voices}


@dataclass
class Speaking:
    """An engine that only offers."""

    offered: ModelOffer = ONE

    def offer(self) -> ModelOffer:
        return self.offered


#: Asks for a voice that not every offer has.
BERT = speech_job("Hi.", voice="bert")


@pytest.fixture
def redis() -> Redis:
    return Redis()


@pytest.fixture
def engine() -> Speaking:
    return Speaking()


@pytest.fixture
def station(redis, engine, monkeypatch) -> Iterator[Announcer]:
    monkeypatch.setattr(announcer, "LOOK_S", 0.01)
    monkeypatch.setattr(announcer, "_POLL_S", 0.01)
    made: Any = Announcer(redis, engine)
    yield made
    made.close()


def never() -> bool:
    return False


def test_an_offer_is_written_before_anything_else_goes_on(station, redis):
    station.announce()

    assert redis.voices == {"anna"}


def test_an_offer_that_changes_is_written_again_also_after_a_broker_that_was_away(
    station, redis, engine
):
    station.announce()
    redis.failures = 3
    engine.offered = TWO

    eventually(lambda: redis.voices == {"anna", "bert"})

    engine.offered = ONE
    eventually(lambda: redis.voices == {"anna"})


def test_a_voice_that_nobody_has_announced_is_not_waited_for(station, redis):
    station.announce()

    assert station.offer_with(BERT, until=never) == ONE


def test_a_voice_that_another_worker_has_seen_already_is_waited_for(station, redis, engine):
    # Given that another worker has announced bert
    Announcer(redis, Speaking(TWO))._write(TWO)  # type: ignore[arg-type]
    threading.Timer(0.2, lambda: setattr(engine, "offered", TWO)).start()

    assert station.offer_with(BERT, until=never) == TWO


def test_a_job_that_is_cancelled_waits_for_no_voice(station, redis):
    Announcer(redis, Speaking(TWO))._write(TWO)  # type: ignore[arg-type]

    assert station.offer_with(BERT, until=lambda: True) == ONE


def test_a_voice_that_never_shows_is_waited_for_only_so_long(station, redis, monkeypatch):
    monkeypatch.setattr(announcer, "PATIENCE_S", 0.1)
    Announcer(redis, Speaking(TWO))._write(TWO)  # type: ignore[arg-type]

    assert station.offer_with(BERT, until=never) == ONE


def test_a_worker_that_closes_waits_for_no_voice(station, redis):
    Announcer(redis, Speaking(TWO))._write(TWO)  # type: ignore[arg-type]
    station.close()

    assert station.offer_with(BERT, until=never) == ONE
