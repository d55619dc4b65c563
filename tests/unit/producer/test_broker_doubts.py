"""What is doubtful about a broker, read from what it says of itself."""

from __future__ import annotations

import pytest

from producer.broker_doubts import doubts

SAFE = {"maxmemory_policy": "noeviction", "aof_enabled": 1, "maxmemory": 0, "used_memory": 10**9}


def test_a_server_that_refuses_when_it_is_full_and_survives_a_crash_raises_no_doubt():
    assert list(doubts(SAFE)) == []
    assert list(doubts({**SAFE, "maxmemory": 2 * 10**9})) == []


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"]
)
def test_a_policy_that_forgets_is_told_with_the_one_to_set(policy):
    [doubt] = doubts({**SAFE, "maxmemory_policy": policy})

    assert policy in doubt
    assert "set it to noeviction" in doubt


def test_a_server_without_an_append_only_file_is_told():
    [doubt] = doubts({**SAFE, "aof_enabled": 0})

    assert "appendonly is off" in doubt


def test_a_server_whose_memory_is_nearly_used_up_is_told_before_it_refuses():
    [doubt] = doubts({**SAFE, "maxmemory": 1000, "used_memory": 950})

    assert "95% full" in doubt
