"""The worker's channel, without its loop: what it takes is held, or goes back."""

from __future__ import annotations

import json
from contextlib import suppress
from queue import Empty

import pytest

from producer.queues import DELIVERIES_KEY, LEASES_KEY, STRANGERS_KEY, job_key
from tests.conftest import eventually
from tests.integration.messages import QUEUE, message
from worker.admission import Admission
from worker.courier import Courier
from worker.lease import Leases
from worker.strangers import Strangers
from worker.transport import Connection

pytestmark = pytest.mark.service

#: So many that several are taken at once.
MANY = 64


@pytest.fixture
def leases(client):
    courier = Courier(client)
    leases = Leases(client, 90, courier)
    leases.start("w@test")
    yield leases
    leases.close()
    courier.close()


@pytest.fixture
def delivered() -> list[str]:
    return []


@pytest.fixture
def cancelled() -> list[str]:
    return []


@pytest.fixture
def channel(redis_url, client, leases, delivered, cancelled):
    """Takes messages, notes their tags as `delivered`, and fails over one that is called `bad`."""

    def deliver(found) -> None:
        if found.headers["id"] == "bad":
            raise ConnectionError("the broker went away meanwhile")
        delivered.append(found.delivery_tag)

    connection = Connection(
        redis_url, transport_options={"queue_order_strategy": "worker.admission:ClassCycle"}
    )
    channel = connection.channel()
    channel.open(Admission(lambda interactive: 8), Strangers(client), leases, cancelled.extend)
    channel.basic_consume(QUEUE, no_ack=False, callback=deliver, consumer_tag="c")
    yield channel
    connection.close()


@pytest.fixture
def queue(client):
    """`queue("a", "b")` queues messages under these ids; returns what waits, the next one last."""

    def put(*ids: str) -> list[str]:
        for job_id in ids:
            client.lpush(QUEUE, message(job_id, job_id))
        return client.lrange(QUEUE, 0, -1)

    return put


def ask(channel) -> None:
    """Do what a turn of the loop begins with."""
    channel.connection.cycle._register_BRPOP(channel)


def turn(channel) -> None:
    """Ask, and read what comes."""
    ask(channel)
    with suppress(Empty):
        channel.handlers["BRPOP"]()


def ids(entries: list[str]) -> list[str]:
    return [json.loads(entry)["headers"]["id"] for entry in entries]


def test_a_message_that_was_waited_for_is_noted_before_it_is_delivered(
    channel, client, queue, delivered
):
    turn(channel)
    ask(channel)
    queue("a")

    turn(channel)
    assert (client.llen(QUEUE), delivered) == (0, [])
    turn(channel)

    assert delivered == ["a"]
    assert client.hkeys(LEASES_KEY) == ["a"]


def test_many_are_delivered_at_once_in_their_order_and_held(channel, queue, delivered, leases):
    numbers = [f"{number:02}" for number in range(MANY)]
    queue(*numbers)

    turn(channel)

    assert len(delivered) > 1
    assert delivered == numbers[: len(delivered)]
    assert leases.held == len(delivered)


def test_cancelled_jobs_are_told_and_not_delivered(channel, client, queue, delivered, cancelled):
    queue("a", "b", "c")
    for job_id in ("a", "b"):
        client.hset(job_key(job_id), "state", "cancelled")

    turn(channel)

    assert (delivered, cancelled) == (["c"], ["a", "b"])


def test_a_turn_that_only_drops_is_followed_by_others_that_tell_no_more(
    channel, client, queue, delivered, cancelled
):
    queue("a")
    client.hset(job_key("a"), "state", "cancelled")
    turn(channel)
    ask(channel)
    queue("b")

    turn(channel)
    turn(channel)

    assert (delivered, cancelled) == (["b"], ["a"])


def test_what_is_behind_a_delivery_that_failed_goes_back_with_it(channel, client, queue, delivered):
    waiting = queue("bad", *(f"{number:02}" for number in range(1, MANY)))

    with pytest.raises(ConnectionError):
        turn(channel)

    eventually(lambda: client.llen(QUEUE) == MANY)
    eventually(lambda: not client.exists(LEASES_KEY, DELIVERIES_KEY))
    assert ids(client.lrange(QUEUE, 0, -1)) == ids(waiting)
    assert delivered == []


def test_what_is_on_its_way_at_a_stop_goes_back_to_its_place(channel, client, queue, delivered):
    waiting = queue(*(f"{number:02}" for number in range(MANY)))
    ask(channel)
    eventually(lambda: client.llen(QUEUE) < MANY)

    channel.shut()

    eventually(lambda: client.llen(QUEUE) == MANY)
    eventually(lambda: not client.exists(LEASES_KEY, DELIVERIES_KEY))
    assert ids(client.lrange(QUEUE, 0, -1)) == ids(waiting)
    assert delivered == []


def test_what_is_nobodys_and_comes_at_a_stop_is_kept(channel, client):
    client.lpush(QUEUE, "garbage")
    ask(channel)
    eventually(lambda: client.llen(QUEUE) == 0)

    channel.shut()

    assert "garbage" in client.lindex(STRANGERS_KEY, 0)


def test_what_was_waited_for_and_came_at_a_stop_goes_back(channel, client, queue, delivered):
    turn(channel)
    ask(channel)
    queue("a")
    eventually(lambda: client.llen(QUEUE) == 0)

    channel.shut()

    eventually(lambda: ids(client.lrange(QUEUE, 0, -1)) == ["a"])
    assert delivered == []


def test_nothing_is_taken_any_more_after_a_stop(channel, client, queue):
    turn(channel)
    ask(channel)

    channel.shut()
    queue("a")

    assert client.llen(QUEUE) == 1
