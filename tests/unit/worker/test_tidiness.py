"""The plans of housekeeping, by property."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.tidiness import Thing, over_budget, unused

NOW_S = 1_000.0

things = st.lists(
    st.builds(
        Thing,
        name=st.uuids().map(str),
        size_bytes=st.integers(0, 100),
        used_s=st.integers(0, 1_000).map(float),
    ),
    max_size=30,
    unique_by=lambda thing: thing.name,
)


def size(found) -> int:
    return sum(thing.size_bytes for thing in found)


#: Names of some of the things, by their places.
places = st.sets(st.integers(0, 29))


def named(found, chosen) -> set[str]:
    return {thing.name for place, thing in enumerate(found) if place in chosen}


@given(things, st.integers(0, 2_000), st.integers(0, 1_000), places)
def test_the_rest_fits_or_all_of_the_old_ones_are_gone(found, budget_bytes, spare_s, chosen):
    needed = named(found, chosen)
    leaving = over_budget(found, budget_bytes, spare_s, NOW_S, needed)
    staying = [thing for thing in found if thing not in leaving]

    old = [
        thing for thing in staying if NOW_S - thing.used_s >= spare_s and thing.name not in needed
    ]
    assert size(staying) <= budget_bytes or old == []


@given(things, st.integers(0, 2_000), st.integers(0, 1_000), places)
def test_nothing_goes_that_is_needed_or_was_used_lately_and_the_least_recently_used_go_first(
    found, budget_bytes, spare_s, chosen
):
    needed = named(found, chosen)
    leaving = over_budget(found, budget_bytes, spare_s, NOW_S, needed)
    staying = [thing for thing in found if thing not in leaving and thing.name not in needed]

    assert all(NOW_S - thing.used_s >= spare_s for thing in leaving)
    assert needed.isdisjoint(thing.name for thing in leaving)
    latest_s = max((thing.used_s for thing in leaving), default=0.0)
    assert all(thing.used_s >= latest_s for thing in staying)


@given(things, st.integers(0, 2_000), st.integers(0, 1_000), places)
def test_no_more_goes_than_must(found, budget_bytes, spare_s, chosen):
    leaving = over_budget(found, budget_bytes, spare_s, NOW_S, named(found, chosen))

    if leaving:
        assert size(found) - size(leaving[:-1]) > budget_bytes


@given(things, st.integers(0, 1_000), st.data())
def test_what_is_unused_for_long_goes_unless_it_is_needed(found, keep_s, data):
    names = [thing.name for thing in found]
    needed = set(data.draw(st.lists(st.sampled_from(names)))) if names else set()

    leaving = unused(found, keep_s, NOW_S, needed)

    for thing in found:
        wanted = NOW_S - thing.used_s <= keep_s or thing.name in needed
        assert (thing in leaving) is not wanted
