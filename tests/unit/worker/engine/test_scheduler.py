"""The scheduler: nothing lost, nothing twice, never over the slots, and in a fair order."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from worker.engine.request import ChunkRequest, Recording
from worker.engine.scheduler import Scheduler, reserve_of


def chunk(name: str, *, interactive: bool = False) -> ChunkRequest:
    return ChunkRequest(name, "text", "en", "default", 0, interactive=interactive)


def admitted(scheduler: Scheduler) -> list[str]:
    return [request.id for _, request in scheduler.admit()]


class SchedulerHistory(RuleBasedStateMachine):
    """Any history of an engine; the lines and rows that there must be are kept beside."""

    @initialize(
        slots=st.integers(1, 6), reserve=st.integers(0, 8), awaited=st.none() | st.integers(0, 6)
    )
    def open(self, slots: int, reserve: int, awaited: int | None) -> None:
        self.scheduler = Scheduler(slots, reserve, awaited)
        self.slots = slots
        self.awaited = slots if awaited is None else max(1, awaited)
        self.reserve = min(reserve, slots - 1)
        self.lines: dict[bool, list[ChunkRequest]] = {True: [], False: []}
        self.rows: dict[int, ChunkRequest] = {}
        self.just_admitted: list[int] = []
        self.blocked = False
        self.count = 0

    @rule(interactive=st.booleans(), recorded=st.booleans())
    def add(self, interactive: bool, recorded: bool) -> None:
        self.count += 1
        request = chunk(str(self.count), interactive=interactive)
        if recorded:
            request = replace(request, recording=Recording("a.wav", 16_000, 16_000, "scratch"))
        self.scheduler.add(request)
        self.lines[interactive].append(request)

    @rule()
    def admit(self) -> None:
        rows = self.scheduler.admit()

        for slot, request in rows:
            assert slot not in self.rows
            assert request == self.lines[request.interactive].pop(0), "first come, first served"
            self.rows[slot] = request
        self.just_admitted = [slot for slot, _ in rows]
        free = self.slots - len(self.rows)
        if any(not request.interactive for _, request in rows):
            assert not self.lines[True], "batch went before interactive"
            assert free >= self.reserve, "batch took what is kept for interactive"
            assert self.batch_rows <= self.batch_limit, "batch took more while somebody waits"
        if not self.blocked:
            assert not (self.lines[True] and free), "a slot is free and interactive waits"
            is_open = free > self.reserve and self.batch_rows < self.batch_limit
            assert not (self.lines[False] and is_open), "a slot is free and batch waits"

    @property
    def batch_rows(self) -> int:
        return sum(not request.interactive for request in self.rows.values())

    @property
    def batch_limit(self) -> int:
        here = [*self.rows.values(), *self.lines[True]]
        is_awaited = any(one.interactive and one.recording is None for one in here)
        return self.awaited if is_awaited else self.slots

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.rows)))

        assert self.scheduler.finish(slot) == self.rows.pop(slot)
        self.blocked = False

    @precondition(lambda self: self.rows or any(self.lines.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        held = {request.id: slot for slot, request in self.rows.items()}
        waiting = [request.id for line in self.lines.values() for request in line]
        name = data.draw(st.sampled_from([*held, *waiting]))

        assert self.scheduler.cancel(name) == held.get(name)
        if name in held:
            del self.rows[held[name]]
            self.blocked = False
        for interactive, line in self.lines.items():
            self.lines[interactive] = [request for request in line if request.id != name]

    @rule()
    def cancel_a_stranger(self) -> None:
        assert self.scheduler.cancel("nobody") is None

    @precondition(lambda self: self.just_admitted and set(self.just_admitted) <= set(self.rows))
    @rule(data=st.data())
    def run_out_of_memory(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(0, len(self.just_admitted) - 1))
        slots, self.just_admitted = self.just_admitted[kept:], []

        self.scheduler.put_back(slots)

        for slot in reversed(slots):
            request = self.rows.pop(slot)
            self.lines[request.interactive].insert(0, request)
        self.blocked = bool(self.rows)

    @invariant()
    def everybody_is_here_exactly_once(self) -> None:
        assert set(self.scheduler.rows) == set(self.rows)
        assert self.scheduler.active == len(self.rows) <= self.slots
        assert self.scheduler.waiting == sum(map(len, self.lines.values()))
        for slot, request in self.rows.items():
            assert self.scheduler.slot_of(request.id) == slot
        for line in self.lines.values():
            assert all(self.scheduler.slot_of(request.id) is None for request in line)

    @invariant()
    def room_is_what_would_get_a_slot_at_once(self) -> None:
        for interactive in (True, False):
            future = deepcopy(self.scheduler)
            room = future.room(interactive)
            for number in range(room + 1):
                future.add(chunk(f"new-{number}", interactive=interactive))
            found = [name for name in admitted(future) if name.startswith("new-")]
            assert found == [f"new-{number}" for number in range(room)]


TestSchedulerHistory = SchedulerHistory.TestCase
TestSchedulerHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    slots=st.integers(2, 8),
    reserve=st.integers(0, 8),
    awaited=st.none() | st.integers(0, 8),
    books=st.integers(1, 30),
)
def test_batch_work_gets_through_while_interactive_leaves_one_slot_free(
    slots, reserve, awaited, books
):
    scheduler = Scheduler(slots, reserve, awaited)
    for number in range(books):
        scheduler.add(chunk(f"book-{number}"))
    finished: list[str] = []

    # A new interactive chunk comes with every turn, as long as it leaves batch its slot.
    for turn in range(books):
        if scheduler.room(interactive=True) > scheduler.reserve + 1:
            scheduler.add(chunk(f"now-{turn}", interactive=True))
        scheduler.admit()
        finished += [scheduler.finish(slot).id for slot in scheduler.rows]

    assert [name for name in finished if name.startswith("book")] == [
        f"book-{number}" for number in range(books)
    ]


def test_interactive_work_finds_the_reserve_free_behind_a_book():
    scheduler = Scheduler(slots=4, interactive_reserve=2)
    for number in range(10):
        scheduler.add(chunk(f"book-{number}"))
    scheduler.admit()

    scheduler.add(chunk("now", interactive=True))

    assert admitted(scheduler) == ["now"]


def test_while_somebody_waits_for_speech_rows_of_a_book_are_followed_by_few():
    scheduler = Scheduler(slots=8, interactive_reserve=1, awaited_rows=2)
    for number in range(20):
        scheduler.add(chunk(f"book-{number}"))
    scheduler.admit()
    scheduler.add(chunk("now", interactive=True))

    # given a row of the book that ends with every turn
    followed = []
    for slot in range(7):
        scheduler.admit()
        scheduler.finish(slot)
        followed.append(len(admitted(scheduler)))

    # Seven rows become two, which are kept.
    assert followed == [0, 0, 0, 0, 0, 1, 1]
    assert scheduler.room(interactive=False) == 0
    scheduler.finish(scheduler.slot_of("now"))
    assert len(admitted(scheduler)) == 5


def test_who_waits_for_a_recording_holds_up_no_book():
    scheduler = Scheduler(slots=8, interactive_reserve=1, awaited_rows=1)
    recording = Recording("a.wav", 16_000, 16_000 * 3600, "scratch")
    scheduler.add(replace(chunk("now", interactive=True), recording=recording))
    scheduler.admit()

    assert scheduler.room(interactive=False) == 6


@pytest.mark.parametrize("reserve", [0, 1, 3, 4, 100])
def test_however_large_the_reserve_one_slot_is_for_batch(reserve):
    scheduler = Scheduler(slots=4, interactive_reserve=reserve)

    assert scheduler.room(interactive=False) >= 1


def test_nobody_is_admitted_after_a_shortage_until_a_row_has_left():
    scheduler = Scheduler(slots=4, interactive_reserve=0)
    for name in "abcd":
        scheduler.add(chunk(name))
    slots = [slot for slot, _ in scheduler.admit()]

    scheduler.put_back(slots[2:])

    assert scheduler.room(interactive=True) == 0
    assert scheduler.admit() == []
    scheduler.finish(slots[0])
    assert admitted(scheduler) == ["c", "d"]


def test_an_id_that_is_here_cannot_come_again():
    scheduler = Scheduler(slots=1, interactive_reserve=0)
    scheduler.add(chunk("a"))
    scheduler.add(chunk("b", interactive=True))
    scheduler.admit()

    for name in "ab":
        with pytest.raises(ValueError, match="already"):
            scheduler.add(chunk(name))


def test_no_slots_are_no_engine():
    with pytest.raises(ValueError, match="slot"):
        Scheduler(slots=0, interactive_reserve=0)


@pytest.mark.parametrize(
    ("slots", "share", "kept"), [(8, 0.1, 1), (384, 0.1, 38), (4, 0.0, 0), (1, 0.1, 1), (4, 0.5, 2)]
)
def test_a_share_of_the_slots_is_at_least_one_unless_it_is_none(slots, share, kept):
    assert reserve_of(slots, share) == kept
