"""What is held stays, what was used last stays longest, and bytes are counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.rvc.byte_lru import ByteLru

#: Ask for a key, or release one; the size of a value is that of its key.
steps = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60)


@given(st.integers(1, 30), steps)
def test_the_room_is_never_exceeded_and_nothing_that_is_held_goes(budget_bytes, steps):
    lru: ByteLru[int, int] = ByteLru(budget_bytes)
    held: Counter[int] = Counter()
    for is_asked, key in steps:
        if is_asked:
            if lru.get(key, hold=True) is None:
                if not lru.room_for(key):
                    assert sum(held) + key > budget_bytes
                    continue
                lru.put(key, key, key, holders=1)
            held[key] += 1
        elif held[key]:
            lru.release(key)
            held[key] -= 1
        held = +held

        assert lru.size_bytes == sum(lru)
        assert lru.size_bytes <= budget_bytes or len(lru) == 1
        assert set(held) <= set(lru)
        assert lru.held == len(held)


def test_what_was_used_last_goes_last():
    lru: ByteLru[str, str] = ByteLru(3)
    for key in "abc":
        lru.put(key, key, 1)
    lru.get("a")

    assert lru.room_for(2)

    assert list(lru) == ["a"]
    assert lru.evictions == 2


def test_what_nobody_holds_cannot_be_released():
    lru: ByteLru[str, str] = ByteLru(3)
    lru.put("a", "a", 1, holders=1)
    lru.release("a")

    with pytest.raises(KeyError):
        lru.release("a")


def test_a_value_beyond_the_budget_stands_alone():
    lru: ByteLru[str, str] = ByteLru(3)
    lru.put("a", "a", 1)

    assert lru.room_for(9)
    assert not lru.fits(9)

    lru.put("b", "b", 9)
    assert list(lru) == ["b"]


def test_all_that_nobody_holds_can_go():
    lru: ByteLru[str, int] = ByteLru(10)
    lru.put("held", 1, 4, holders=1)
    lru.put("free", 2, 4)

    lru.clear()

    assert list(lru) == ["held"]
    assert (lru.size_bytes, lru.evictions) == (4, 1)
