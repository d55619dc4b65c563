"""Scaling: how many workers the backlog needs, who has them, and when one more or less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.scaling import FarmSight, Policy, Room, Scaling, WorkerSight, needed, shares

POLICY = Policy(horizon_s=60, age_s=30, idle_s=300)
READY = WorkerSight(is_ready=True, fill=1.0, pace=10.0)


def sight(
    waiting_s: float = 0.0, *workers: WorkerSight, age_s: float = 0.0, running: int = 0
) -> FarmSight:
    return FarmSight(
        waiting_jobs=int(waiting_s > 0),
        waiting_s=waiting_s,
        oldest_age_s=age_s,
        running_jobs=running,
        workers=workers,
    )


def room(host: str = "a", running: int = 0, gpus: int = 2, least: int = 0, most: int = 4) -> Room:
    return Room(host, gpus, least, most, running)


@st.composite
def farms(draw) -> list[Room]:
    """Hosts with distinct names, each with some of its places manned."""
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    rooms = []
    for name in names:
        gpus, per_gpu = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        most = draw(st.integers(0, gpus * per_gpu))
        least = draw(st.integers(0, most))
        rooms.append(Room(name, gpus, least, most, draw(st.integers(0, most))))
    return rooms


def test_a_farm_with_nothing_to_do_needs_nobody():
    assert needed(POLICY, sight(0, READY)).workers == 0


def test_the_first_job_needs_one_worker():
    assert needed(POLICY, sight(0.5)).workers == 1


def test_a_backlog_needs_as_many_as_speak_it_within_the_horizon():
    need = needed(POLICY, sight(2500, READY))

    assert need.workers == 5
    assert "2500 s of audio" in need.reason and "10.0 times" in need.reason


def test_before_a_worker_has_spoken_no_more_are_needed_for_the_backlog_alone():
    quiet = WorkerSight(is_ready=True)

    assert needed(POLICY, sight(9999, quiet)).workers == 1


def test_a_job_that_waits_too_long_needs_one_more():
    need = needed(POLICY, sight(1, READY, age_s=31))

    assert need.workers == 2
    assert "31 s" in need.reason


def test_a_job_that_waits_too_long_needs_no_more_while_a_worker_loads():
    loading = WorkerSight(is_ready=False)

    assert needed(POLICY, sight(1, READY, loading, age_s=31)).workers == 2


def test_running_jobs_need_the_workers_that_they_fill():
    half = WorkerSight(is_ready=True, fill=0.5)

    assert needed(POLICY, sight(0, half, half, half, running=9)).workers == 2
    assert needed(POLICY, sight(0, running=1)).workers == 1


PACES = st.none() | st.floats(0.1, 1e4)
WORKERS = st.lists(st.builds(WorkerSight, st.booleans(), st.floats(0, 1), PACES), max_size=8)


@given(st.floats(0, 1e7), st.floats(0, 1e5), st.integers(0, 100), WORKERS)
def test_somebody_is_needed_if_and_only_if_there_is_something_to_do(
    waiting_s, age_s, running, workers
):
    need = needed(POLICY, sight(waiting_s, *workers, age_s=age_s, running=running))

    assert (need.workers > 0) == (waiting_s > 0 or running > 0)
    assert need.reason


@given(farms(), st.integers(0, 40))
def test_shares_are_what_is_needed_within_the_bounds_of_every_host(rooms, need):
    shared = shares(need, rooms)

    least, most = sum(r.least for r in rooms), sum(r.most for r in rooms)
    assert sum(shared.values()) == min(max(need, least), most)
    assert all(r.least <= shared[r.host] <= r.most for r in rooms)


@given(farms(), st.integers(0, 40), st.randoms())
def test_every_host_computes_the_same_shares(rooms, need, random):
    shuffled = random.sample(rooms, len(rooms))

    assert shares(need, rooms) == shares(need, shuffled)


@given(farms(), st.integers(0, 40))
def test_nobody_who_works_is_moved(rooms, need):
    shared = shares(need, rooms)
    changes = [shared[r.host] - r.running for r in rooms]

    kept_by_force = sum(max(0, r.least - r.running) for r in rooms)
    lost = -sum(change for change in changes if change < 0)
    surplus = max(0, sum(r.running for r in rooms) - need)
    assert lost <= surplus + kept_by_force


@given(farms(), st.integers(0, 40))
def test_a_free_gpu_comes_before_a_second_worker_of_another(rooms, need):
    idle = [Room(r.host, r.gpus, 0, r.most, 0) for r in rooms]

    shared = shares(need, idle)

    has_second = any(shared[r.host] > r.gpus for r in idle)
    has_free = any(shared[r.host] < min(r.gpus, r.most) for r in idle)
    assert not (has_second and has_free)


def test_a_host_starts_one_worker_and_waits_until_it_has_loaded():
    scaling = Scaling(POLICY, "a")

    first = scaling.step(0, sight(5000, READY), [room(running=1)], loading=False)
    held = scaling.step(1, sight(5000, READY), [room(running=2)], loading=True)

    assert first.workers == 1
    assert (held.workers, held.is_held) == (0, True)
    assert "loading" in held.reason


def test_workers_are_drained_after_the_idle_time_and_not_before():
    scaling = Scaling(POLICY, "a")
    idle = WorkerSight(is_ready=True)

    steps = [
        scaling.step(at_s, sight(0, idle, idle), [room(running=2)], loading=False).workers
        for at_s in (0, 150, 299, 300)
    ]

    assert steps == [0, 0, 0, -2]


def test_a_job_in_between_begins_the_idle_time_anew():
    scaling = Scaling(POLICY, "a")
    rooms = [room(running=1)]

    scaling.step(0, sight(0, READY), rooms, loading=False)
    scaling.step(200, sight(5, READY), rooms, loading=False)
    scaling.step(250, sight(0, READY), rooms, loading=False)

    assert scaling.step(400, sight(0, READY), rooms, loading=False).workers == 0
    assert scaling.step(550, sight(0, READY), rooms, loading=False).workers == -1


def test_two_hosts_start_no_more_together_than_the_farm_needs():
    rooms = [room("a"), room("b")]
    farm = sight(1)

    steps = [Scaling(POLICY, host).step(0, farm, rooms, loading=False).workers for host in "ab"]

    assert sum(steps) == 1


@given(farms(), st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 500)), max_size=30))
def test_a_host_stays_within_its_bounds_whatever_comes(rooms, story):
    mine, *others = rooms
    scaling, now_s = Scaling(POLICY, mine.host), 0.0
    running = min(max(mine.running, mine.least), mine.most)

    for waiting_s, passed_s in story:
        now_s += passed_s
        workers = [READY] * (running + sum(r.running for r in others))
        here = Room(mine.host, mine.gpus, mine.least, mine.most, running)
        step = scaling.step(now_s, sight(waiting_s, *workers), [here, *others], loading=False)
        running += step.workers
        assert step.workers <= 1
        assert mine.least <= running <= mine.most


@pytest.mark.parametrize("hosts", [1, 3])
def test_a_farm_grows_to_what_it_needs_and_shrinks_to_nothing(hosts):
    names = "abc"[:hosts]
    scalings = {name: Scaling(POLICY, name) for name in names}
    running = dict.fromkeys(names, 0)

    def turn(now_s: float, waiting_s: float) -> None:
        rooms = [room(name, running[name]) for name in names]
        workers = [READY] * sum(running.values()) if waiting_s else [WorkerSight(True)] * 9
        farm = sight(waiting_s, *workers)
        for name in names:
            running[name] += scalings[name].step(now_s, farm, rooms, loading=False).workers

    for second in range(20):
        turn(second, 2000)
    grown = sum(running.values())
    for second in range(20, 400):
        turn(second, 0)

    assert grown == 4
    assert sum(running.values()) == 0
