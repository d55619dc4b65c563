"""Whose batch item is next? Deficit round-robin in seconds of audio. Pure.

Clients take turns, and within a client its batches do. In its turn a client may be given
`quantum_s` of audio; what an item needs beyond that is saved up over turns. So a client gets
its share whatever the size of its items and however many batches it has, and one huge book
keeps no small one waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

#: Audio that one may be given in its turn: some sentences. Two that always have work are never
#: further apart than this and their longest items.
QUANTUM_S: Final = 20.0

K = TypeVar("K", bound=Hashable)


class Flow(NamedTuple):
    """One batch of one client."""

    client: str
    batch: str


class Turns(Generic[K]):
    """Who is next among those that have work, by the cost of the next item of each."""

    def __init__(self, quantum_s: float = QUANTUM_S) -> None:
        self._quantum_s = quantum_s
        self._ring: deque[K] = deque()
        #: What each may still be given in this turn; there for all in the ring.
        self._credit_s: dict[K, float] = {}

    def next(self, cost_s: Mapping[K, float]) -> K:
        """Return whose turn it is among these, the keys of `cost_s`; at least one.

        Who has no more work loses its credit, who comes anew is last in the ring.
        """
        self._meet(cost_s)
        while True:
            first = self._ring[0]
            if self._credit_s[first] >= cost_s[first]:
                return first
            self._pass_on(cost_s)

    def spend(self, key: K, cost_s: float) -> None:
        """Note that the one whose turn it was has been given an item."""
        self._credit_s[key] -= cost_s

    def _meet(self, cost_s: Mapping[K, float]) -> None:
        self._ring = deque(key for key in self._ring if key in cost_s)
        self._credit_s = {key: self._credit_s[key] for key in self._ring}
        for key in cost_s:
            if key not in self._credit_s:
                self._ring.append(key)
                self._credit_s[key] = self._quantum_s

    def _pass_on(self, cost_s: Mapping[K, float]) -> None:
        """End the turn of the first; whoever is alone need not wait for its own next one."""
        self._ring.rotate(-1)
        self._credit_s[self._ring[0]] += self._quantum_s
        if all(self._credit_s[key] < cost_s[key] for key in self._ring):
            rounds = min((cost_s[k] - self._credit_s[k]) // self._quantum_s for k in self._ring)
            for key in self._ring:
                self._credit_s[key] += rounds * self._quantum_s


class FairShare:
    """Turns of clients, and of each client's batches."""

    def __init__(self, quantum_s: float = QUANTUM_S) -> None:
        self._quantum_s = quantum_s
        self._clients: Turns[str] = Turns(quantum_s)
        self._batches: dict[str, Turns[str]] = {}

    def draw(self, heads: Mapping[Flow, Sequence[float]], room_s: float) -> list[Flow]:
        """Return who is given an item, in order, one entry an item.

        `heads` are the costs of the next items of each batch, in their order, in seconds of
        audio. All drawn items together are at most `room_s`. The draw ends when the next item
        does not fit any more, or when a batch's known items are used up, as what it has behind
        them is not known.
        """
        drawn: list[Flow] = []
        taken = dict.fromkeys(heads, 0)
        while live := {flow: costs[taken[flow]] for flow, costs in heads.items() if costs}:
            flow = self._next(live)
            if live[flow] > room_s:
                break
            room_s -= live[flow]
            self._clients.spend(flow.client, live[flow])
            self._batches[flow.client].spend(flow.batch, live[flow])
            drawn.append(flow)
            taken[flow] += 1
            if taken[flow] == len(heads[flow]):
                break
        return drawn

    def _next(self, live: Mapping[Flow, float]) -> Flow:
        """Bring every client's next batch to the front, then the next client's."""
        costs: dict[str, dict[str, float]] = {}
        for flow, cost_s in live.items():
            costs.setdefault(flow.client, {})[flow.batch] = cost_s
        self._batches = {
            client: self._batches.get(client, Turns(self._quantum_s)) for client in costs
        }
        chosen = {client: self._batches[client].next(own) for client, own in costs.items()}
        client = self._clients.next({name: costs[name][chosen[name]] for name in costs})
        return Flow(client, chosen[client])
