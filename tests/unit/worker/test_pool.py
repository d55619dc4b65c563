"""The pool: threads that grow and shrink, and never hold up a stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from celery.worker import state as celery_state

from tests.conftest import eventually
from worker.job_request import HAND_BACK, OVERTIME
from worker.pool import TaskPool, terminable

#: Longer than anything here takes; reached only if something hangs.
PATIENCE_S = 10.0


class Tasks:
    """Tasks that run until they are let go."""

    def __init__(self, pool: TaskPool) -> None:
        self.pool = pool
        self.go = threading.Event()
        self.started = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.running = 0
        self.most = 0
        self._lock = threading.Lock()

    def _task(self) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.started.release()
        self.go.wait(PATIENCE_S)
        with self._lock:
            self.running -= 1

    def apply(self, n: int) -> None:
        for _ in range(n):
            self.pool.apply_async(self._task, callback=lambda _: self.ended.release())

    def await_started(self, n: int) -> None:
        assert all(self.started.acquire(timeout=PATIENCE_S) for _ in range(n))

    def await_ended(self, n: int) -> None:
        assert all(self.ended.acquire(timeout=PATIENCE_S) for _ in range(n))


@pytest.fixture
def make_pool() -> Iterator[Callable[..., TaskPool]]:
    pools: list[TaskPool] = []

    def make(limit: int, drain_s: float = PATIENCE_S) -> TaskPool:
        pool = TaskPool(limit, app=SimpleNamespace(conf={"worker_drain_s": drain_s}))
        pool.start()
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.terminate()


def test_no_more_tasks_run_than_the_limit_and_all_run_in_the_end(make_pool):
    tasks = Tasks(make_pool(3))

    tasks.apply(10)
    tasks.await_started(3)
    tasks.go.set()
    tasks.await_ended(10)

    assert tasks.most == 3


def test_growing_starts_waiting_tasks_at_once(make_pool):
    pool = make_pool(1)
    tasks = Tasks(pool)
    tasks.apply(5)
    tasks.await_started(1)

    pool.grow(4)
    tasks.await_started(4)

    assert pool.num_processes == 5
    tasks.go.set()


def test_shrinking_below_the_busy_threads_is_refused(make_pool):
    pool = make_pool(4)
    tasks = Tasks(pool)
    tasks.apply(3)
    tasks.await_started(3)

    with pytest.raises(ValueError, match="3 of 4 threads are busy"):
        pool.shrink(2)

    assert pool.num_processes == 4
    tasks.go.set()


def test_a_shrunken_pool_keeps_to_its_new_limit(make_pool):
    pool = make_pool(4)
    tasks = Tasks(pool)
    tasks.go.set()
    tasks.apply(8)
    tasks.await_ended(8)
    # A task has ended a moment before its thread is free.
    eventually(lambda: pool.info["busy"] == 0)

    pool.shrink(3)
    tasks.go.clear()
    tasks.most = 0
    tasks.apply(4)
    while tasks.started.acquire(blocking=False):
        pass
    tasks.go.set()
    tasks.await_ended(4)

    assert tasks.most == 1
    assert pool.info["threads"] == 1


def test_a_stop_waits_for_running_tasks_and_drops_those_that_wait(make_pool):
    pool = make_pool(2)
    tasks = Tasks(pool)
    tasks.apply(5)
    tasks.await_started(2)
    threading.Timer(0.05, tasks.go.set).start()

    pool.stop()

    assert tasks.running == 0
    tasks.await_ended(2)
    assert not tasks.ended.acquire(blocking=False)


def test_a_stop_does_not_wait_longer_than_its_limit(make_pool):
    pool = make_pool(1, drain_s=0.01)
    tasks = Tasks(pool)
    tasks.apply(1)
    tasks.await_started(1)

    pool.stop()

    assert tasks.running == 1
    tasks.go.set()


def test_the_end_of_a_task_that_fails_outside_of_itself_is_told(make_pool):
    told: list[object] = []
    heard = threading.Event()

    def fail() -> None:
        raise ZeroDivisionError

    def callback(result: object) -> None:
        told.append(result)
        heard.set()

    make_pool(1).apply_async(fail, callback=callback)

    assert heard.wait(PATIENCE_S)
    [(failed, error, _)] = told
    assert failed
    assert error.type is ZeroDivisionError


class Patient:
    """A task that runs until it is told to end, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[int | None] = []
        self.runs = threading.Event()
        self._end = threading.Event()

    def __call__(self) -> None:
        with terminable(self._terminate):
            self.runs.set()
            self._end.wait(PATIENCE_S)

    def _terminate(self, signal: int | None) -> None:
        self.told.append(signal)
        self._end.set()


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_what_has_not_ended_within_the_limit_of_a_stop_is_told_to_hand_its_job_back(
    make_pool, patient
):
    pool = make_pool(1, drain_s=0.01)
    pool.apply_async(patient)
    assert patient.runs.wait(PATIENCE_S)

    pool.stop()

    assert patient.told == [HAND_BACK]
    assert pool.info["busy"] == 0


def test_a_stop_that_is_to_hurry_waits_no_longer(make_pool, patient):
    pool = make_pool(1, drain_s=1000)
    pool.apply_async(patient)
    assert patient.runs.wait(PATIENCE_S)
    threading.Timer(0.05, pool.hurry).start()

    pool.stop()

    assert patient.told == [HAND_BACK]


def test_a_cold_stop_does_not_wait_for_what_runs(make_pool, patient, monkeypatch):
    pool = make_pool(1, drain_s=1000)
    pool.apply_async(patient)
    assert patient.runs.wait(PATIENCE_S)
    monkeypatch.setattr(celery_state, "should_terminate", True)

    pool.stop()

    assert patient.told == [HAND_BACK]


@pytest.mark.parametrize("limit", ["timeout", "soft_timeout"])
def test_a_task_is_ended_when_its_time_is_over(make_pool, patient, limit):
    ended = threading.Event()

    make_pool(1).apply_async(patient, callback=lambda _: ended.set(), **{limit: 0.01})

    assert ended.wait(PATIENCE_S)
    assert patient.told == [OVERTIME]


def test_a_running_task_is_ended_through_the_thread_it_was_accepted_with(make_pool):
    pool = make_pool(2)
    accepted: list[int] = []
    ready, ended = threading.Event(), threading.Event()

    def task() -> None:
        with terminable(lambda _: ended.set()):
            ready.set()
            ended.wait(PATIENCE_S)

    pool.apply_async(task, accept_callback=lambda pid, _: accepted.append(pid))
    assert ready.wait(PATIENCE_S)
    pool.terminate_job(accepted[0])

    assert ended.wait(PATIENCE_S)


def test_ending_a_task_that_is_gone_does_nothing(make_pool):
    make_pool(1).terminate_job(12345)
