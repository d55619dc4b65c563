"""Claims: one computes, the others wait, and nobody waits for the dead."""

from __future__ import annotations

import threading

import pytest

from producer.queues import DELIVERIES_KEY, LEASES_KEY, take_claim_key
from tests.integration.messages import take
from worker.claims import Claimant, Claims
from worker.courier import Courier
from worker.errors import ClaimLost
from worker.lease import Leases, release

pytestmark = pytest.mark.service

KEY = "a" * 64


@pytest.fixture
def claims(client) -> Claims:
    return Claims(client)


@pytest.fixture
def worker(client):
    """`worker("w")` is a worker that holds messages; `worker("w")("tag")` one of its attempts."""
    started: list[Leases] = []

    def start(node: str = "w"):
        leases = Leases(client, 90, Courier(client))
        leases.start(node)
        started.append(leases)

        def attempt(tag: str, name: str = "first") -> Claimant:
            take(client, leases, tag, tag)
            return Claimant(tag, leases.holder, f"{tag}.{name}")

        return attempt

    yield start
    for leases in started:
        leases.close()


def never() -> bool:
    return False


def nothing() -> None:
    pass


def test_of_many_who_want_a_key_one_at_a_time_holds_it(claims, worker):
    attempt = worker()
    holding, most, lock = 0, 0, threading.Lock()

    def work(claimant: Claimant) -> None:
        nonlocal holding, most
        with claims.held(KEY, claimant, on_wait=nothing, until=never):
            with lock:
                holding += 1
                most = max(most, holding)
            threading.Event().wait(0.01)
            with lock:
                holding -= 1

    threads = [threading.Thread(target=work, args=(attempt(str(n)),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_a_claim_is_released_behind_its_block_also_after_an_error(claims, worker, client):
    claimant = worker()("a")

    with pytest.raises(ZeroDivisionError), claims.held(KEY, claimant, on_wait=nothing, until=never):
        _ = 1 / 0

    assert client.exists(take_claim_key(KEY)) == 0


def test_a_claim_may_be_released_with_the_acknowledgement_of_its_message(client, worker):
    sent = []
    claims = Claims(client, send=lambda *command: sent.append(command))
    with claims.held(KEY, worker()("a"), on_wait=nothing, until=never):
        assert not sent
    held = client.exists(take_claim_key(KEY))
    client.execute_command(*sent[0])

    assert held == 1
    assert client.exists(take_claim_key(KEY)) == 0


def test_one_who_waits_says_so_once_and_goes_on_when_waiting_has_no_sense(claims, worker, client):
    said = []
    attempt = worker()
    first, second = attempt("a"), attempt("b")
    claims.take(KEY, first)

    with claims.held(KEY, second, on_wait=lambda: said.append("waiting"), until=lambda: True):
        pass

    assert said == ["waiting"]
    assert client.get(take_claim_key(KEY)) == str(first)


def test_a_claim_holds_while_its_message_is_renewed_and_no_longer(claims, worker, client):
    first, second = worker("slow")("a"), worker("next")("b")
    claims.take(KEY, first)
    refused = claims.take(KEY, second)

    # What kombu does to a message that nobody renews.
    client.zrem(DELIVERIES_KEY, "a")

    assert not refused
    assert claims.take(KEY, second)


def test_the_claims_of_a_worker_go_with_its_leases_when_it_is_known_to_be_dead(
    claims, worker, client
):
    first, second = worker("dead")("a"), worker("next")("b")
    claims.take(KEY, first)

    release(client, "dead")

    assert claims.take(KEY, second)


def test_a_job_that_came_again_is_not_held_back_by_its_own_claim(claims, worker):
    attempt = worker()
    claims.take(KEY, attempt("a", "first"))

    assert claims.take(KEY, attempt("a", "second"))


def test_who_has_lost_its_message_can_neither_claim_nor_publish(claims, worker, client):
    claimant = worker()("a")
    claims.take(KEY, claimant)
    claims.confirm(KEY, claimant)

    client.hset(LEASES_KEY, "a", "somebody/else")

    with pytest.raises(ClaimLost):
        claims.confirm(KEY, claimant)
    assert not claims.take("b" * 64, claimant)


def test_who_has_lost_the_claim_publishes_nothing_and_who_only_lost_the_key_does(
    claims, worker, client
):
    first, second = worker("frozen")("a"), worker("next")("b")
    claims.take(KEY, first)
    client.delete(take_claim_key(KEY))
    claims.confirm(KEY, first)
    client.delete(take_claim_key(KEY))
    claims.take(KEY, second)

    with pytest.raises(ClaimLost):
        claims.confirm(KEY, first)
