"""The dispatcher: windows, pauses, deadlines and fair shares before the queue."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
from rounds import LINE, QUEUE, counts, dispatcher_of, queued_ids, run_one

from producer.batch.schedule import Schedule
from producer.batch.window import Window
from producer.queues import (
    DISPATCHER_KEY,
    RATES_KEY,
)
from worker.dispatcher import HASTE_S, ROUND_S, Dispatcher

pytestmark = pytest.mark.service

UTC = ZoneInfo("UTC")


@pytest.fixture
def dispatcher(client, farm) -> Dispatcher:
    return dispatcher_of(client, farm, "one")


@pytest.fixture
def tonight_s() -> float:
    """Ten in the evening of today, by UTC."""
    today = datetime.now(UTC).replace(hour=22, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).timestamp()


def test_items_wait_without_a_message_until_they_are_fed_in_their_order(client, farm, dispatcher):
    batch = farm.batch([LINE] * 5)
    assert (counts(batch), client.llen(QUEUE)) == ({"waiting_window": 5}, 0)

    assert dispatcher.round(time.time())

    assert counts(batch) == {"queued": 5}
    assert queued_ids(client) == [f"{batch.id}{n:08x}" for n in range(5)]


def test_no_more_than_a_minute_of_the_farms_work_waits_in_the_queue(client, farm, dispatcher):
    now_s = time.time()
    client.hset(RATES_KEY, "w@test", json.dumps({"at_s": now_s, "rates": {"speech": 2.0}}))
    batch = farm.batch([LINE] * 1_000)

    for _ in range(5):
        dispatcher.round(now_s)

    # Two seconds of audio a second for a minute, in items of two seconds.
    assert counts(batch) == {"queued": 60, "waiting_window": 940}


def test_a_farm_that_has_taken_all_it_was_given_is_looked_at_again_soon(client, farm, dispatcher):
    chapter = " ".join([LINE] * 100)
    farm.batch([chapter] * 3)
    pauses_s = []

    for _ in range(2):
        dispatcher.round(time.time())
        pauses_s.append(dispatcher.pause_s)
        run_one(farm, client, queued_ids(client)[0])
    dispatcher.round(time.time())
    dispatcher.round(time.time())

    # While a chapter waits there is no hurry.
    assert [*pauses_s, dispatcher.pause_s] == [HASTE_S, HASTE_S, ROUND_S]


def test_nothing_is_fed_before_the_window_opens_and_all_is_taken_back_when_it_closes(
    client, farm, dispatcher, tonight_s
):
    window = Schedule(Window.parse("22:00-07:00", UTC))
    batch = farm.batch([LINE] * 10, schedule=window)

    dispatcher.round(tonight_s - 1)
    assert counts(batch) == {"waiting_window": 10}
    dispatcher.round(tonight_s)
    assert counts(batch) == {"queued": 10}
    first, second = queued_ids(client)[:2]
    run_one(farm, client, first)
    dispatcher.round(tonight_s + 9 * 3600)

    assert counts(batch) == {"done": 1, "waiting_window": 9}
    # The messages are still there; whoever takes one finds that the job waits.
    assert farm.ledger.start(second, "w@test", time.time(), "token", "tag") is None


def test_what_is_left_goes_on_the_next_night_in_its_order(client, farm, dispatcher, tonight_s):
    batch = farm.batch([LINE] * 10, schedule=Schedule(Window.parse("22:00-07:00", UTC)))
    dispatcher.round(tonight_s)
    dispatcher.round(tonight_s + 10 * 3600)
    client.delete(QUEUE)

    dispatcher.round(tonight_s + 86_400)

    assert queued_ids(client) == [f"{batch.id}{n:08x}" for n in range(10)]


def test_near_the_edge_of_a_window_no_more_is_fed_than_fits_in_before_it(
    client, farm, dispatcher, tonight_s
):
    now_s = tonight_s + 9 * 3600 - 5
    client.hset(RATES_KEY, "w@test", json.dumps({"at_s": now_s, "rates": {"speech": 2.0}}))
    batch = farm.batch([LINE] * 100, schedule=Schedule(Window.parse("22:00-07:00", UTC)))

    for _ in range(3):
        dispatcher.round(now_s)

    assert counts(batch)["queued"] == 5


def test_a_paused_batch_is_taken_back_and_goes_on_when_it_is_resumed(client, farm, dispatcher):
    held, free = farm.batch([LINE] * 3), farm.batch([LINE] * 3)
    dispatcher.round(time.time())

    held.pause()
    dispatcher.round(time.time())
    assert (counts(held), counts(free)) == ({"waiting_window": 3}, {"queued": 3})
    held.resume()
    dispatcher.round(time.time())

    assert counts(held) == {"queued": 3}


def test_all_batches_may_be_paused_together(farm, dispatcher):
    batch = farm.batch([LINE] * 3)

    batch.ledger.pause_all(wanted=True)
    dispatcher.round(time.time())
    assert counts(batch) == {"waiting_window": 3}
    batch.ledger.pause_all(wanted=False)
    dispatcher.round(time.time())

    assert counts(batch) == {"queued": 3}


def test_behind_the_deadline_what_waits_is_cancelled_and_says_why(farm, dispatcher):
    deadline_s = time.time() + 1000
    batch = farm.batch([LINE] * 450, schedule=Schedule(deadline_s=deadline_s))
    dispatcher.round(deadline_s - 1)

    for _ in range(4):
        dispatcher.round(deadline_s)

    assert counts(batch) == {"cancelled": 450}
    assert {line["detail"] for line in batch.results()} == {"its deadline has passed"}


def test_a_cancelled_batch_ends_what_has_not_begun(client, farm, dispatcher):
    batch = farm.batch([LINE] * 3)
    dispatcher.round(time.time())
    run_one(farm, client, queued_ids(client)[0])

    assert batch.cancel()
    dispatcher.round(time.time())

    assert counts(batch) == {"done": 1, "cancelled": 2}
    assert batch.wait(timeout_s=0).has_ended


def test_an_item_that_is_cancelled_by_hand_is_passed_over(client, farm, dispatcher):
    batch = farm.batch([LINE] * 402)
    for job in list(batch.jobs())[:400]:
        farm.ledger.cancel(job.id, time.time())

    for _ in range(3):
        dispatcher.round(time.time())

    assert counts(batch) == {"cancelled": 400, "queued": 2}


def test_a_small_batch_of_another_client_shares_the_farm_with_a_huge_one(client, farm, dispatcher):
    now_s = time.time()
    client.hset(RATES_KEY, "w@test", json.dumps({"at_s": now_s, "rates": {"speech": 2.0}}))
    huge = farm.batch([LINE] * 500, client="press")
    dispatcher.round(now_s)
    small = farm.batch([LINE] * 40, client="child")

    done = 0
    while counts(small).get("done", 0) < 40:
        run_one(farm, client, queued_ids(client)[0])
        done += 1
        dispatcher.round(now_s)

    # The minute that waited already, and then one item of each in turn, within a quantum.
    assert done <= 60 + 2 * 40 + 20
    assert counts(huge)["done"] == done - 40


def test_one_dispatcher_at_a_time_and_another_goes_on_when_it_is_gone(client, farm, dispatcher):
    other = dispatcher_of(client, farm, "two")
    batch = farm.batch([LINE] * 4)

    assert dispatcher.round(time.time())
    assert not other.round(time.time())
    client.delete(DISPATCHER_KEY)

    assert other.round(time.time())
    assert not dispatcher.round(time.time())
    assert counts(batch) == {"queued": 4}


def test_one_that_has_lost_its_office_while_it_worked_changes_nothing(client, farm, dispatcher):
    batch = farm.batch([LINE] * 4)
    feed = dispatcher._feed
    client.set(DISPATCHER_KEY, "two")

    for change in (
        lambda: feed.feed(batch.id, [f"{batch.id}{0:08x}"], time.time()),
        lambda: feed.recall(batch.id, time.time()),
        lambda: feed.end(batch.row(), time.time(), "why"),
    ):
        with pytest.raises(redis.ResponseError, match="FENCED"):
            change()
