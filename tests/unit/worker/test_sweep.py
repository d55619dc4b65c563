"""A sweep finds the jobs without a message, and no other, whatever moves meanwhile."""

from __future__ import annotations

from collections import Counter
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from worker.sweep import Sweep

#: Entries that the sweep looks at in one step; few, so that much happens in between.
PIECE = 2

GRACE_S = 10.0


def test_a_row_is_given_time_until_its_message_comes():
    sweep = Sweep(100.0, GRACE_S)

    assert sweep.missing([("old", 89.9), ("young", 90.1)]) == ["old"]


def test_a_row_whose_message_was_seen_is_not_missing():
    sweep = Sweep(100.0, GRACE_S)
    sweep.see(["a", "b"])

    assert sweep.missing([("a", 0.0), ("b", 0.0), ("c", 0.0)]) == ["c"]


class Farm(RuleBasedStateMachine):
    """A queue and deliveries that change while they are swept, as in `Reconciler`."""

    @initialize(queued=st.integers(0, 8), delivered=st.integers(0, 4), lost=st.integers(0, 4))
    def given(self, queued: int, delivered: int, lost: int) -> None:
        numbers = count()
        self.names = map(str, numbers)
        #: Young end first, as in Redis: messages come on the left and are taken on the right.
        self.queue = [next(self.names) for _ in range(queued)]
        self.delivered = [next(self.names) for _ in range(delivered)]
        self.lost = {next(self.names) for _ in range(lost)}
        self.rows = dict.fromkeys([*self.queue, *self.delivered, *self.lost], 0.0)
        self.moves: Counter[str] = Counter()
        self.now_s = 100.0
        self.sweep = Sweep(self.now_s, GRACE_S)
        self.steps = self.look()

    def look(self):
        self.sweep.see(self.delivered)
        yield
        first, piece = 0, [""] * PIECE
        while len(piece) == PIECE:
            piece = self.queue[first : first + PIECE]
            self.sweep.see(piece)
            first += PIECE
            yield
        self.sweep.see(self.delivered)

    @rule()
    def a_client_submits(self):
        name = next(self.names)
        self.rows[name] = self.now_s
        self.queue.insert(0, name)

    @precondition(lambda self: self.queue)
    @rule()
    def a_worker_takes_a_message(self):
        name = self.queue.pop()
        self.delivered.append(name)
        self.moves[name] += 1

    @precondition(lambda self: self.delivered)
    @rule(place=st.integers(0, 99), started=st.booleans())
    def a_message_goes_back(self, place, started):
        name = self.delivered[place % len(self.delivered)]
        if self.moves[name] and not started:
            # Taken and given back within one sweep, and not started: only a start is quick
            # enough for that, and it renews the row.
            return
        self.delivered.remove(name)
        self.queue.append(name)
        self.moves[name] += 1
        if started:
            self.rows[name] = self.now_s

    @precondition(lambda self: self.delivered)
    @rule(place=st.integers(0, 99))
    def a_job_ends(self, place):
        name = self.delivered.pop(place % len(self.delivered))
        del self.rows[name]

    @rule()
    def the_sweep_looks_at_a_piece(self):
        next(self.steps, None)

    def teardown(self):
        if not hasattr(self, "sweep"):
            return
        for _ in self.steps:
            pass
        assert set(self.sweep.missing(self.rows.items())) == self.lost


TestAnyOrderOfEvents = Farm.TestCase
