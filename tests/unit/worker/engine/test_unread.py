"""Unread audio: counted for as long as anybody holds it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import eventually
from worker.engine.request import ChunkRequest
from worker.engine.unread import Unread


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=30))
def test_what_is_held_is_what_was_given_out_and_not_dropped(takes):
    unread, held = Unread(), []
    one = np.zeros(50, np.float32)

    for samples, is_kept in takes:
        found = unread.counted(one[:samples])
        assert len(found) == samples
        if is_kept:
            held.append(found)
        del found

    assert unread.held_bytes == sum(found.nbytes for found in held)


def test_it_is_much_from_its_limit_on():
    unread = Unread(limit_bytes=80)
    held = [unread.counted(np.zeros(10, np.float32))]
    little = unread.is_much
    held.append(unread.counted(np.zeros(10, np.float32)))

    assert (little, unread.is_much) == (False, True)
    held.clear()
    assert not unread.is_much


def test_an_engine_whose_takes_pile_up_has_room_only_for_who_waits(engines, monkeypatch):
    engine = engines(slots=4)
    monkeypatch.setattr(engine._promises, "unread", Unread(limit_bytes=1))
    take = engine.submit(ChunkRequest("1", "text", "en", "default", 0)).result(10)

    rooms = engine.capacity(), engine.capacity(interactive=True)
    del take

    assert rooms == (0, 4)
    # The engine's thread may hold it for a moment more.
    assert eventually(lambda: engine.capacity() == 4)
