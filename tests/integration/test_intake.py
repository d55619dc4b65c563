"""The intake: what one round trip takes off the queues, and what Redis knows of it then."""

from __future__ import annotations

import json
import random

import pytest
import redis

from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY, job_key
from producer.state import JobState
from tests.integration.messages import message
from worker.intake import AT_ONCE, LOOKED_AT, SHARE, Intake

pytestmark = pytest.mark.service

INTERACTIVE, BATCH = "speech.interactive", "speech.batch"


@pytest.fixture
def intake() -> Intake:
    return Intake()


@pytest.fixture
def queued(client):
    """`queued("speech.batch", 3)` puts three messages into a queue; returns their tags."""

    def put(queue: str, count: int) -> list[str]:
        tags = [f"{queue}.{number}" for number in range(count)]
        for tag in tags:
            client.lpush(queue, message(tag, tag))
        return tags

    return put


@pytest.fixture
def taken(intake, redis_url):
    """`taken({"speech.batch": 3})` takes what there is room for; returns the tags."""
    with redis.Redis.from_url(redis_url) as raw:

        def take(room: dict[str, int], first: tuple[str, bytes] | None = None) -> list[str]:
            answer = raw.execute_command(*intake.command("w@test/1", room, first))
            return [found.tag for found in intake.read(answer)]

        yield take


@pytest.fixture
def in_state(client):
    """`in_state("done", tags)` has the jobs of these messages be in a state."""

    def write(state: str, tags: list[str]) -> None:
        for tag in tags:
            client.hset(job_key(tag), "state", state)

    return write


def test_a_long_queue_gives_as_much_as_there_is_room_for_and_no_more(queued, taken, client):
    tags = queued(BATCH, AT_ONCE * SHARE)

    assert taken({BATCH: 3}) == tags[:3]
    assert taken({BATCH: 0}) == []
    assert len(taken({BATCH: 10 * AT_ONCE})) == AT_ONCE - 1
    assert client.llen(BATCH) == len(tags) - 3 - (AT_ONCE - 1)


def test_the_end_of_a_queue_is_taken_one_by_one_so_that_others_get_theirs(queued, taken):
    tags = queued(BATCH, SHARE)

    assert [taken({BATCH: 100}) for _ in tags] == [[tag] for tag in tags]


def test_a_queue_is_looked_at_when_those_before_it_are_empty_and_shares_the_room(
    queued, taken, intake
):
    first, second = queued(INTERACTIVE, 2)
    queued(BATCH, 100)
    room = {INTERACTIVE: 3, BATCH: 2}

    assert taken(room) == [first]
    assert taken(room) == [second, f"{BATCH}.0"]
    assert intake.is_empty([INTERACTIVE])
    assert not intake.is_empty([INTERACTIVE, BATCH])


def test_it_is_time_to_wait_when_all_queues_that_were_asked_are_empty(taken, intake):
    assert not intake.is_empty([INTERACTIVE, BATCH])

    assert taken({INTERACTIVE: 1, BATCH: 1}) == []

    assert intake.is_empty([INTERACTIVE, BATCH])


def test_what_is_taken_is_noted_in_the_same_step_as_it_stood_in_its_queue(queued, taken, client):
    [tag] = queued(BATCH, 1)
    [entry] = client.lrange(BATCH, 0, -1)

    taken({BATCH: 1})

    assert client.hgetall(LEASES_KEY) == {tag: "w@test/1"}
    assert client.zscore(DELIVERIES_KEY, tag) == pytest.approx(client.time()[0], abs=60)
    assert json.loads(client.hget(DELIVERED_KEY, tag)) == [json.loads(entry), BATCH, BATCH]


def test_a_message_that_redis_gave_before_is_noted_whatever_the_room(queued, taken, client):
    queued(BATCH, 40)

    assert taken({BATCH: 1}, (BATCH, message("first", "1").encode())) == ["first"]
    assert taken({}, (BATCH, message("second", "2").encode())) == ["second"]

    assert set(client.hkeys(LEASES_KEY)) == {"first", "second"}
    assert client.llen(BATCH) == 40


@pytest.mark.parametrize(
    "entry",
    [
        *(b"garbage", b"\xff\xfe", b"[]", b"null", b'{"properties": {"delivery_tag": 7}}'),
        b'{"properties": {"delivery_tag": "\xff"}}',
    ],
)
def test_what_has_no_tag_is_handed_over_and_held_by_nobody(taken, client, entry):
    client.lpush(BATCH, entry)

    assert taken({BATCH: 1}) == [""]

    assert not client.exists(LEASES_KEY, DELIVERED_KEY, DELIVERIES_KEY, BATCH)


@pytest.mark.parametrize("state", [state for state in JobState if state.is_final])
def test_the_messages_of_jobs_that_have_ended_are_dropped_and_hold_up_nothing(
    queued, taken, in_state, client, state
):
    *ended, right = queued(BATCH, LOOKED_AT)
    in_state(state, ended)

    assert taken({BATCH: 1}) == [right]

    assert client.hkeys(LEASES_KEY) == client.hkeys(DELIVERED_KEY) == [right]
    assert client.zrange(DELIVERIES_KEY, 0, -1) == [right]
    assert not client.exists(BATCH)


@pytest.mark.parametrize("state", [state for state in JobState if not state.is_final])
def test_the_message_of_a_job_that_has_not_ended_is_taken(queued, taken, in_state, state):
    tags = queued(BATCH, 1)
    in_state(state, tags)

    assert taken({BATCH: 1}) == tags


def test_those_that_were_cancelled_are_told_once(queued, taken, in_state, intake):
    done, first, second, right = queued(BATCH, 4)
    in_state("done", [done])
    in_state("cancelled", [first, second])

    assert taken({BATCH: 1}) == [right]

    assert intake.cancelled() == [first, second]
    assert intake.cancelled() == []


def test_one_step_looks_at_so_many_at_most_and_the_next_goes_on(queued, taken, in_state, intake):
    *ended, right = queued(BATCH, 2 * LOOKED_AT + 1)
    in_state("cancelled", ended)

    assert [taken({BATCH: 8}) for _ in range(2)] == [[], []]
    assert not intake.is_empty([BATCH])
    assert taken({BATCH: 8}) == [right]
    assert intake.is_empty([BATCH])


def test_what_is_dropped_leaves_the_end_of_a_queue_to_be_shared(queued, taken, in_state):
    tags = queued(BATCH, LOOKED_AT)
    ended, waiting = tags[:-SHARE], tags[-SHARE:]
    in_state("cancelled", ended)

    assert [taken({BATCH: 100}) for _ in waiting] == [[tag] for tag in waiting]


def test_a_queue_of_jobs_that_have_ended_is_empty_and_the_next_one_is_looked_at(
    queued, taken, in_state, intake
):
    in_state("cancelled", queued(INTERACTIVE, 20))
    [right] = queued(BATCH, 1)

    assert taken({INTERACTIVE: 4, BATCH: 1}) == [right]
    assert intake.is_empty([INTERACTIVE, BATCH])


def test_a_message_that_redis_gave_before_is_dropped_if_its_job_has_ended(
    taken, in_state, intake, client
):
    in_state("cancelled", ["first"])

    assert taken({BATCH: 1}, (BATCH, message("first", "first").encode())) == []

    assert intake.cancelled() == ["first"]
    assert not client.exists(LEASES_KEY, DELIVERED_KEY, DELIVERIES_KEY)


@pytest.mark.parametrize("headers", [None, [], {}, {"id": None}, {"id": 7}, {"id": ["x"]}])
def test_a_message_that_names_no_job_is_taken(taken, client, headers):
    client.lpush(BATCH, json.dumps({"headers": headers, "properties": {"delivery_tag": "t"}}))

    assert taken({BATCH: 1}) == ["t"]


def test_what_stands_in_the_place_of_a_row_loses_no_message(queued, taken, client):
    tags = queued(BATCH, 2 * SHARE)
    client.set(job_key(tags[1]), "no row")

    assert taken({BATCH: 2}) == tags[:2]


def test_among_jobs_that_have_ended_all_others_are_taken_once_and_in_order(
    queued, taken, in_state, client
):
    chance = random.Random(5)
    tags = queued(BATCH, 5 * LOOKED_AT)
    ended = [tag for tag in tags if chance.random() < 0.7]
    in_state("cancelled", ended)

    found: list[str] = []
    while client.exists(BATCH):
        found += taken({BATCH: chance.randint(1, AT_ONCE)})

    assert found == [tag for tag in tags if tag not in set(ended)]
    assert set(client.hkeys(LEASES_KEY)) == set(found)
