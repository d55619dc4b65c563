"""Fair shares: nothing lost, nothing starved, and nobody far behind another."""

from __future__ import annotations

import math
from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.fair_share import QUANTUM_S, FairShare, Flow
from worker.lead import AHEAD_S, FIRST_S, Lead, until_close_s

#: How many items the dispatcher knows of each batch at a time.
LOOK = 4

costs_s = st.lists(st.floats(0.1, 400), min_size=1, max_size=12)
batches = st.dictionaries(
    st.builds(Flow, st.sampled_from("abc"), st.sampled_from("uvwxyz")), costs_s, max_size=8
)


class Farm:
    """Batches whose items are drawn and worked off."""

    def __init__(self, batches) -> None:
        self.waiting = {flow: deque(enumerate(costs)) for flow, costs in batches.items()}
        self.share = FairShare()
        self.given: list[tuple[Flow, int, float]] = []

    def draw(self, room_s: float) -> list[tuple[Flow, int, float]]:
        heads = {
            flow: [cost for _, cost in list(items)[:LOOK]]
            for flow, items in self.waiting.items()
            if items
        }
        drawn = [(flow, *self.waiting[flow].popleft()) for flow in self.share.draw(heads, room_s)]
        self.given += drawn
        return drawn

    def draw_all(self) -> None:
        while any(self.waiting.values()):
            assert self.draw(math.inf), "work waits and nothing is drawn"


@settings(deadline=None)
@given(batches)
def test_every_item_is_given_once_and_each_batch_in_its_order(batches):
    farm = Farm(batches)

    farm.draw_all()

    for flow, costs in batches.items():
        assert [place for given, place, _ in farm.given if given == flow] == list(range(len(costs)))


@settings(deadline=None)
@given(batches, st.lists(st.floats(0, 500), max_size=20))
def test_a_draw_is_never_more_than_there_is_room_for(batches, rooms_s):
    farm = Farm(batches)

    for room_s in rooms_s:
        assert sum(cost for _, _, cost in farm.draw(room_s)) <= room_s + 1e-6


@settings(deadline=None)
@given(
    long_s=st.floats(1, 400),
    short_s=st.floats(0.1, 20),
    batches=st.integers(1, 5),
)
def test_clients_that_always_have_work_get_the_same_within_a_turn(long_s, short_s, batches):
    farm = Farm(
        {
            **{Flow("many", f"b{n}"): [long_s] * 2_000 for n in range(batches)},
            Flow("one", "book"): [short_s] * 2_000,
        }
    )
    shares_s: Counter[str] = Counter()

    while len(farm.given) < 500:
        for flow, _, cost in farm.draw(math.inf):
            shares_s[flow.client] += cost
            apart_s = abs(shares_s["many"] - shares_s["one"])
            assert apart_s <= 2 * QUANTUM_S + long_s + short_s


@settings(deadline=None)
@given(sizes=st.lists(st.floats(0.1, 300), min_size=2, max_size=5))
def test_batches_of_one_client_get_the_same_within_a_turn(sizes):
    farm = Farm({Flow("a", f"b{n}"): [size] * 700 for n, size in enumerate(sizes)})
    shares_s = dict.fromkeys(farm.waiting, 0.0)

    while len(farm.given) < 300:
        for flow, _, cost in farm.draw(math.inf):
            shares_s[flow] += cost
            apart_s = max(shares_s.values()) - min(shares_s.values())
            assert apart_s <= 2 * QUANTUM_S + 2 * max(sizes)


@pytest.mark.parametrize("item_s", [5.0, 130.0])
def test_a_small_batch_that_comes_late_does_not_wait_for_a_huge_book(item_s):
    farm = Farm({Flow("a", "book"): [item_s] * 1_000})
    for _ in range(50):
        farm.draw(10 * item_s)
    farm.waiting[Flow("b", "note")] = deque([(0, 4.0)])
    before = len(farm.given)

    while farm.waiting[Flow("b", "note")]:
        farm.draw(10 * item_s)

    waited_s = sum(cost for flow, _, cost in farm.given[before:] if flow.client == "a")
    assert waited_s <= 2 * QUANTUM_S + item_s


def test_an_item_that_does_not_fit_is_next_and_nobody_overtakes_it_for_ever():
    farm = Farm({Flow("a", "long"): [100.0], Flow("b", "short"): [10.0] * 200})
    room_s = 0.0

    for _ in range(40):
        room_s += 12.0
        room_s -= sum(cost for _, _, cost in farm.draw(room_s))
        if not farm.waiting[Flow("a", "long")]:
            break

    assert not farm.waiting[Flow("a", "long")]


@settings(deadline=None)
@given(rate=st.floats(0.01, 5_000), queued_s=st.floats(0, 1e6))
def test_at_most_a_minute_of_work_waits(rate, queued_s):
    room_s = Lead().room_s(rate, queued_s)

    assert room_s >= 0
    assert (queued_s + room_s) / rate <= AHEAD_S * 1.0001 or room_s == 0


@settings(deadline=None)
@given(speed=st.floats(0.1, 5_000))
def test_the_lead_grows_until_the_farm_is_busy_and_no_further(speed):
    lead, queued_s = Lead(), 0.0

    for _ in range(40):
        room_s = lead.room_s(None, queued_s)
        queued_s = max(0.0, queued_s + room_s - speed)

    assert queued_s > 0, "the farm is idle between two looks"
    assert queued_s <= max(FIRST_S * 2, 8 * speed)


def test_what_is_fed_before_a_window_closes_fits_in_before_it_does():
    assert until_close_s(10.0, left_s=5.0) == 50.0
    assert until_close_s(None, left_s=5.0) == math.inf
