"""Admission: no message is taken that the engine could not start at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery.worker import state as celery_state

from producer.queues import ASSEMBLY_QUEUE, QUEUE_OF, Priority
from worker.admission import OPEN_POLL_S, RESTRICTED_POLL_S, Admission, ClassCycle

BOOKS = ASSEMBLY_QUEUE
INTERACTIVE, BATCH = QUEUE_OF[Priority.INTERACTIVE], QUEUE_OF[Priority.BATCH]


class Request:
    """A message in hand, as Celery counts it."""


@pytest.fixture
def in_hand(monkeypatch) -> set[Request]:
    requests: set[Request] = set()
    monkeypatch.setattr(celery_state, "reserved_requests", requests)
    return requests


@pytest.fixture
def room() -> dict[bool, int]:
    """The engine's room, by whether the work is interactive."""
    return {False: 2, True: 3}


@pytest.fixture
def admission(room, in_hand) -> Admission:
    return Admission(lambda interactive: room[interactive])


@pytest.fixture
def channel() -> SimpleNamespace:
    cycle = ClassCycle()
    cycle.update([BATCH, INTERACTIVE])
    qos = SimpleNamespace(can_consume=lambda: True, can_consume_max_estimate=lambda: None)
    return SimpleNamespace(qos=qos, _queue_cycle=cycle, brpop_timeout=None, _in_poll=None)


def test_messages_in_hand_that_the_engine_does_not_know_of_use_up_its_room(admission, in_hand):
    in_hand.update(Request() for _ in range(2))

    assert not admission.room(interactive=False)
    assert admission.room(interactive=True)


def test_a_settled_task_is_counted_by_the_engine_alone(admission, in_hand):
    in_hand.update(Request() for _ in range(2))

    with admission.passage() as settle:
        settle()
        settle()
        settled = admission.room(interactive=False)

    assert settled
    assert not admission.room(interactive=False)


def test_a_full_engine_is_given_nothing(admission, room, channel):
    admission.gate(channel)
    room.update({False: 0, True: 0})

    assert not channel.qos.can_consume()
    assert channel._queue_cycle.consume(2) == []


def test_an_answer_that_may_hold_a_message_is_read_whatever_the_room(admission, room, channel):
    admission.gate(channel)
    room.update({False: 0, True: 0})
    channel._in_poll = object()

    assert channel.qos.can_consume()


def test_the_last_slots_are_offered_to_interactive_work_alone_and_asked_for_briefly(
    admission, room, channel
):
    admission.gate(channel)
    room.update({False: 0, True: 1})

    assert channel.qos.can_consume()
    assert channel._queue_cycle.consume(2) == [INTERACTIVE]
    assert channel.brpop_timeout == RESTRICTED_POLL_S


def test_with_room_for_all_interactive_work_comes_first(admission, channel):
    admission.gate(channel)

    assert channel.qos.can_consume()
    assert channel._queue_cycle.consume(2) == [INTERACTIVE, BATCH]
    assert channel.brpop_timeout == OPEN_POLL_S


def test_the_prefetch_limit_of_celery_still_holds(admission, channel):
    channel.qos.can_consume = lambda: False
    admission.gate(channel)

    assert not channel.qos.can_consume()


def test_it_is_told_how_much_may_be_taken_which_is_never_more_than_the_prefetch_limit_allows(
    admission, in_hand, channel
):
    admission.gate(channel)
    assert channel._queue_cycle.room(2) == {INTERACTIVE: 3, BATCH: 2}

    in_hand.add(Request())
    assert channel._queue_cycle.room(2) == {INTERACTIVE: 2, BATCH: 1}

    channel.qos.can_consume_max_estimate = lambda: 1
    assert channel._queue_cycle.room(2) == {INTERACTIVE: 1, BATCH: 1}


def test_a_channel_without_a_gate_takes_from_every_queue():
    cycle = ClassCycle()
    cycle.update([BATCH, INTERACTIVE])

    assert cycle.consume(2) == [INTERACTIVE, BATCH]


def test_a_book_is_taken_beside_a_full_engine_and_before_batch_work(room, in_hand, channel):
    admission = Admission(lambda interactive: room[interactive], lambda: places > 0)
    channel._queue_cycle.update([BATCH, BOOKS, INTERACTIVE])
    admission.gate(channel)

    places = 1
    assert channel.qos.can_consume()
    assert channel._queue_cycle.consume(3) == [INTERACTIVE, BOOKS, BATCH]
    room.update({False: 0, True: 1})
    assert channel._queue_cycle.consume(3) == [INTERACTIVE, BOOKS]
    places = 0
    assert channel._queue_cycle.consume(3) == [INTERACTIVE]
