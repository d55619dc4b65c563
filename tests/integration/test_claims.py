"""Claims: one computes, the others wait, and nobody waits for the dead."""

from __future__ import annotations

import threading

import pytest
import redis

from producer.queues import take_claim_key
from worker.claims import CLAIM_S, Claims

pytestmark = pytest.mark.service

KEY = "a" * 64


@pytest.fixture
def client(redis_url) -> redis.Redis:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def claims(client) -> Claims:
    return Claims(client)


def never() -> bool:
    return False


def nothing() -> None:
    pass


def test_of_many_who_want_a_key_one_at_a_time_holds_it(claims):
    holding, most, lock = 0, 0, threading.Lock()

    def work(owner: str) -> None:
        nonlocal holding, most
        with claims.held(KEY, owner, on_wait=nothing, until=never):
            with lock:
                holding += 1
                most = max(most, holding)
            threading.Event().wait(0.01)
            with lock:
                holding -= 1

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_a_claim_is_released_behind_its_block_also_after_an_error(claims, client):
    with pytest.raises(ZeroDivisionError), claims.held(KEY, "a", on_wait=nothing, until=never):
        _ = 1 / 0

    assert client.exists(take_claim_key(KEY)) == 0


def test_a_claim_has_a_time_limit_which_renewing_sets_back(claims, client):
    with claims.held(KEY, "a", on_wait=nothing, until=never):
        client.expire(take_claim_key(KEY), 5)
        claims.renew(KEY)

        assert CLAIM_S - 5 < client.ttl(take_claim_key(KEY)) <= CLAIM_S


def test_one_who_waits_says_so_once_and_goes_on_when_waiting_has_no_sense(claims, client):
    said = []
    client.set(take_claim_key(KEY), "somebody else")

    with claims.held(KEY, "b", on_wait=lambda: said.append("waiting"), until=lambda: True):
        pass

    assert said == ["waiting"]
    assert client.get(take_claim_key(KEY)) == "somebody else"


def test_the_claim_of_a_dead_worker_runs_out(claims, client):
    client.set(take_claim_key(KEY), "the dead", px=100)

    with claims.held(KEY, "b", on_wait=nothing, until=never):
        assert client.get(take_claim_key(KEY)) == "b"
