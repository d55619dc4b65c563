"""Whatever is spoken beside it, joins, leaves or is cancelled: a take is the one it is alone.

Here through the whole engine, from texts to samples; `test_decoder` looks at the ids alone.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

# Where torch is missing, nothing below can be imported.
# ruff: noqa: E402
torch = pytest.importorskip("torch")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.engine.engine import Engine
from worker.engine.errors import TakeCancelled
from worker.engine.request import ChunkRequest, Samples, Take
from worker.engine.xtts.model import Mode, XttsModel

#: Only a broken engine takes so long.
PATIENCE_S: Final = 120.0

#: Fewer than there are requests, so that rows wait for one another.
SLOTS: Final = 3

#: Texts, languages, voices and ways to draw; no two are the same.
REQUESTS: Final = tuple(
    ChunkRequest("", text, language, voice, seed, parameters, interactive=interactive)
    for text, language, voice, seed, parameters, interactive in [
        ("Hello from the farm.", "en", "alice", 1, {}, False),
        ("Hello from the farm.", "en", "bob", 2, {"temperature": 1.5, "top_p": 1.0}, False),
        ("Bom dia a todos, amigos. São 3 horas.", "pt", "alice", 3, {"speed": 1.4}, True),
        ("Guten Tag, wie geht es?", "de", "bob", 4, {"top_k": 1}, False),
        ("a", "en", "alice", 5, {"repetition_penalty": 1.0, "top_k": 0}, False),
        ("Yes. " * 40, "en", "bob", 6, {"speed": 0.6}, False),
        ("One, two, three, and so on.", "en", "default", 7, {"temperature": 0.2}, True),
        ("Olá", "pt", "bob", 8, {"top_k": 5, "speed": 2.0}, False),
    ]
)


class ToldModel(XttsModel):
    """Tells which ids every row has drawn."""

    codes: dict[str, list[int]]

    def vocode(self, slots: Any, *, wait: bool) -> Any:
        for slot in slots:
            self.codes[self._rows[slot].id] = self._loaded().decoder.codes(slot).tolist()
        return super().vocode(slots, wait=wait)


@dataclass(frozen=True)
class Spoken:
    """What became of a request."""

    codes: list[int]
    samples: Samples


class Farm:
    """An engine and what it has spoken."""

    def __init__(self, directory: Path, mode: Mode) -> None:
        # Two steps at a time, so that much can happen in the life of a row.
        self.model = ToldModel(directory, device="cpu", mode=mode, slots=SLOTS, burst_steps=2)
        self.model.codes = {}
        self.engine = Engine(self.model)
        self.engine.start()
        self.engine.ready.result(PATIENCE_S)
        self._numbers = itertools.count()

    def submit(self, number: int) -> tuple[str, Future[Take]]:
        """Ask for one of the requests, under an id of its own."""
        name = str(next(self._numbers))
        return name, self.engine.submit(replace(REQUESTS[number], id=name))

    def spoken(self, name: str, future: Future[Take]) -> Spoken:
        samples = future.result(PATIENCE_S).samples
        return Spoken(self.model.codes[name], samples)

    def let_pass(self, steps: int) -> None:
        """Wait until the engine has made so many steps more, or has nothing to do."""
        goal = self.engine.snapshot()["steps"] + steps
        deadline_s = time.monotonic() + PATIENCE_S
        while self.engine.snapshot()["steps"] < goal and self._is_busy():
            assert time.monotonic() < deadline_s
            time.sleep(0.0005)

    def _is_busy(self) -> bool:
        facts = self.engine.snapshot()
        return bool(facts["active"] or facts["waiting"] or facts["sounding"])


@pytest.fixture(scope="module")
def farms(written_checkpoint) -> Iterator[Callable[[Mode], Farm]]:
    """Start engines."""
    started: list[Farm] = []

    def start(mode: Mode) -> Farm:
        started.append(Farm(written_checkpoint, mode))
        return started[-1]

    yield start
    for farm in started:
        farm.engine.close()


@pytest.fixture(scope="module", params=["invariant", "latency"])
def mode(request) -> Mode:
    return request.param


@pytest.fixture(scope="module")
def alone(farms, mode) -> list[Spoken]:
    """What each request becomes when there is no other; spoken by an engine of their own."""
    farm = farms(mode)
    return [farm.spoken(*farm.submit(number)) for number in range(len(REQUESTS))]


@pytest.fixture(scope="module")
def farm(farms, mode) -> Farm:
    """Another engine, started anew: none of it can come from the memory of the first."""
    return farms(mode)


def assert_same(found: Spoken, expected: Spoken, mode: Mode) -> None:
    assert found.codes == expected.codes
    assert found.samples.shape == expected.samples.shape
    if mode == "invariant":
        assert np.array_equal(found.samples, expected.samples)
    else:
        assert np.abs(found.samples - expected.samples).max() <= 1e-5


def test_the_requests_of_these_tests_are_all_different(alone):
    assert len({tuple(one.codes) for one in alone}) > len(REQUESTS) - 2
    assert len({len(one.samples) for one in alone}) > 4
    assert all(np.abs(one.samples).max() > 0.1 for one in alone)


def test_a_full_batch_and_those_who_wait_for_it_are_as_they_are_alone(farm, alone, mode):
    asked = [farm.submit(number) for number in range(len(REQUESTS))]

    for (name, future), expected in zip(asked, alone, strict=True):
        assert_same(farm.spoken(name, future), expected, mode)


#: What happens in the life of an engine: a request comes, one is cancelled, or some steps pass.
EVENTS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, len(REQUESTS) - 1)),
        st.tuples(st.just("submit"), st.integers(0, len(REQUESTS) - 1)),
        st.tuples(st.just("pass"), st.integers(1, 6)),
        st.tuples(st.just("cancel"), st.integers(0, 1000)),
    ),
    min_size=4,
    max_size=24,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=EVENTS)
def test_rows_that_join_leave_and_are_cancelled_change_nothing_for_each_other(
    farm, alone, mode, events
):
    asked: list[tuple[int, str, Future[Take]]] = []
    cancelled: set[str] = set()

    for what, number in events:
        if what == "submit":
            asked.append((number, *farm.submit(number)))
        elif what == "pass":
            farm.let_pass(number)
        elif asked:
            name = asked[number % len(asked)][1]
            farm.engine.cancel(name)
            cancelled.add(name)

    for number, name, future in asked:
        error = future.exception(PATIENCE_S)
        if error is None:
            assert_same(farm.spoken(name, future), alone[number], mode)
        else:
            assert isinstance(error, TakeCancelled)
            assert name in cancelled
    farm.let_pass(1000)
    assert farm.engine.capacity(interactive=True) == SLOTS


def test_rows_do_leave_in_the_middle(farm):
    # Given that the longest request has a row, and has not ended
    name, future = farm.submit(5)
    farm.let_pass(2)

    farm.engine.cancel(name)

    assert isinstance(future.exception(PATIENCE_S), TakeCancelled)
    assert name not in farm.model.codes
