"""The consumer: many who have room wake Celery's loop once, and nobody goes unheard."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from worker.consumer import WAKE_S, Consumer


class Loop:
    """Stands in for Celery's hub: keeps what is to be called, and for later."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.later: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def call_later(self, _: float, call: Callable[[], None]) -> None:
        self.later.append(call)

    def turn(self) -> int:
        """Call what is to be called soon; returns how many that were."""
        calls, self.soon = self.soon, []
        for call in calls:
            call()
        return len(calls)

    def rest(self) -> int:
        """Let the time of a rest go by; returns how many looks are to be ended by another one."""
        calls, self.later = self.later, []
        for call in calls:
            call()
        return len(self.later)


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr("worker.consumer.time.monotonic", lambda: clock.now_s)
    return clock


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def consumer(loop, clock) -> Consumer:
    consumer = Consumer.__new__(Consumer)
    consumer.hub = loop
    return consumer


class Events:
    """Stands in for Celery's event dispatcher: keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, kind: str, *, uuid: str, **_: object) -> None:
        self.sent.append((kind, uuid))


def test_many_calls_before_the_loop_has_woken_up_are_one(consumer, loop):
    for _ in range(5):
        consumer.wake()

    assert loop.turn() == 1


def test_calls_during_a_rest_are_heard_together_when_it_is_over(consumer, loop):
    consumer.wake()
    loop.turn()

    consumer.wake()
    consumer.wake()

    assert loop.turn() == 0
    assert loop.rest() == 1
    assert loop.rest() == 0


def test_after_a_rest_in_which_nobody_called_the_next_call_is_heard_at_once(consumer, loop):
    consumer.wake()
    loop.turn()
    loop.rest()

    consumer.wake()

    assert loop.turn() == 1


def test_a_call_that_was_lost_on_the_way_makes_nobody_deaf(consumer, loop, clock):
    consumer.wake()
    loop.soon.clear()

    clock.now_s += WAKE_S
    consumer.wake()

    assert loop.turn() == 1


def test_cancelled_jobs_whose_messages_were_dropped_are_told_as_revoked(consumer):
    consumer.event_dispatcher = events = Events()

    consumer.tell_cancelled(["a", "b"])

    assert events.sent == [("task-revoked", "a"), ("task-revoked", "b")]


def test_without_a_dispatcher_nothing_is_told(consumer):
    consumer.event_dispatcher = None

    consumer.tell_cancelled(["a"])
