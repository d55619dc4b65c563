"""The guard: good takes pass, doubtful ones are taken again, and the best of three is kept."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.errors import ChunkFailed, TakeCancelled
from worker.engine.request import ChunkRequest, Take
from worker.guard import RETAKES, Guard, Judged, retake_seed
from worker.pace import Band, band_of

RATE_HZ = 100

CHUNK = ChunkRequest("a", "Hello from the farm.", "en", "default", 7)

GOOD_S, LONG_S, LONGER_S, SHORT_S = 1.3, 30.0, 60.0, 0.01


class HandEngine:
    """An engine that answers when and what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[ChunkRequest, Future[Take]]] = []
        self.cancelled: list[str] = []

    def submit(self, request: ChunkRequest) -> Future[Take]:
        self.asked.append((request, Future()))
        return self.asked[-1][1]

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)

    def answer(self, duration_s: float, truncated: bool = False) -> None:
        self.asked[-1][1].set_result(take(duration_s, truncated))

    @property
    def seeds(self) -> list[int]:
        return [request.seed for request, _ in self.asked]


def take(duration_s: float, truncated: bool = False) -> Take:
    samples = np.full(round(duration_s * RATE_HZ), 0.1, np.float32)
    return Take(samples, RATE_HZ, computed_s=1.0, truncated=truncated)


@pytest.fixture
def engine() -> HandEngine:
    return HandEngine()


@pytest.fixture
def guard(engine) -> Guard:
    return Guard(engine, guarded=True)


def test_a_good_take_passes_as_it_is(engine, guard):
    verdict = guard.submit(CHUNK)
    engine.answer(GOOD_S)

    judged = verdict.result(0)

    assert judged.take.duration_s == GOOD_S
    assert (judged.retakes, judged.is_doubtful) == (0, False)
    assert engine.seeds == [CHUNK.seed]


@pytest.mark.parametrize(
    ("duration_s", "truncated"), [(LONG_S, False), (SHORT_S, False), (0, False), (GOOD_S, True)]
)
def test_a_doubtful_take_is_taken_again_with_another_seed(engine, guard, duration_s, truncated):
    verdict = guard.submit(CHUNK)
    engine.answer(duration_s, truncated)
    assert not verdict.done()
    engine.answer(GOOD_S)

    judged = verdict.result(0)

    assert judged.take.duration_s == GOOD_S
    assert (judged.retakes, judged.is_doubtful) == (1, False)
    assert engine.seeds == [CHUNK.seed, retake_seed(CHUNK.seed, 1)]


def test_it_is_taken_again_twice_at_most_and_the_take_that_errs_least_is_kept(engine, guard):
    verdict = guard.submit(CHUNK)
    for duration_s in (LONGER_S, LONG_S, LONGER_S):
        engine.answer(duration_s)

    judged = verdict.result(0)

    assert judged.take.duration_s == LONG_S
    assert judged.retakes == RETAKES == 2
    assert judged.is_doubtful
    assert len(set(engine.seeds)) == 3


def test_where_nothing_is_guarded_every_take_passes(engine):
    verdict = Guard(engine, guarded=False).submit(CHUNK)
    engine.answer(LONG_S, truncated=True)

    assert not verdict.result(0).is_doubtful


def test_a_failure_of_the_engine_is_handed_on(engine, guard):
    verdict = guard.submit(CHUNK)
    engine.answer(LONG_S)
    engine.asked[-1][1].set_exception(ChunkFailed("no"))

    with pytest.raises(ChunkFailed, match="no"):
        verdict.result(0)


def test_an_engine_that_takes_no_more_ends_the_trial(engine, guard, monkeypatch):
    def refuse(request: ChunkRequest) -> Future[Take]:
        raise ValueError("it is already in the engine")

    verdict = guard.submit(CHUNK)
    monkeypatch.setattr(engine, "submit", refuse)
    engine.answer(LONG_S)

    with pytest.raises(ValueError, match="already"):
        verdict.result(0)


def test_what_was_cancelled_is_not_taken_again(engine, guard):
    verdict = guard.submit(CHUNK)

    guard.cancel(CHUNK.id)
    engine.answer(LONG_S)

    assert engine.cancelled == [CHUNK.id]
    assert len(engine.asked) == 1
    with pytest.raises(TakeCancelled):
        verdict.result(0)


def silent() -> Take:
    return Take(np.zeros(round(GOOD_S * RATE_HZ), np.float32), RATE_HZ)


def clipped() -> Take:
    return Take(np.ones(round(GOOD_S * RATE_HZ), np.float32), RATE_HZ)


@pytest.mark.parametrize("bad", [silent, clipped])
def test_a_take_of_the_right_length_that_is_silent_or_clipped_is_taken_again(engine, guard, bad):
    verdict = guard.submit(CHUNK)
    engine.asked[-1][1].set_result(bad())
    assert not verdict.done()
    engine.answer(GOOD_S)

    assert (verdict.result(0).retakes, verdict.result(0).is_doubtful) == (1, False)


def test_what_was_measured_of_the_take_that_is_kept_is_told(engine, guard):
    verdict = guard.submit(CHUNK)
    for bad in (clipped, silent, clipped):
        engine.asked[-1][1].set_result(bad())

    judged = verdict.result(0)

    assert judged.is_doubtful
    assert judged.quality.silence_share == 1.0
    assert judged.quality.clipped_share == 0.0


@given(st.integers(0, 2**63 - 1))
def test_seeds_of_retakes_are_the_same_everywhere_and_all_different(seed):
    seeds = [retake_seed(seed, number) for number in range(RETAKES + 1)]

    assert seeds == [retake_seed(seed, number) for number in range(RETAKES + 1)]
    assert seeds[0] == seed
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= one < 2**63 for one in seeds)


takes = st.lists(
    st.builds(take, st.floats(0, 60), st.booleans()), min_size=1, max_size=RETAKES + 1
).map(tuple)


@given(takes, st.sampled_from([None, Band(1.0, 5.0), band_of(CHUNK.text, "en")]))
def test_no_take_is_better_than_the_one_that_is_kept(takes, band):
    judged = Judged(takes, band)

    alone = [Judged((one,), band) for one in takes]
    assert judged.is_doubtful == all(one.is_doubtful for one in alone)
    assert any(judged.take is one for one in takes)
    assert judged.is_final or len(takes) <= RETAKES


def test_takes_that_were_cut_off_are_kept_last():
    judged = Judged((take(GOOD_S, truncated=True), take(LONG_S)), band_of(CHUNK.text, "en"))

    assert judged.take.duration_s == LONG_S
