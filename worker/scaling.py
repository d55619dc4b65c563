"""How many workers there should be, and where. Pure: the numbers come in, a step goes out.

There is no leader. Every `up` of the farm reads the same backlog and the same heartbeats,
computes the same shares, and does its own part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Policy:
    """When there are too few workers, or too many."""

    #: All that waits should be spoken within this time.
    horizon_s: float = 60.0
    #: No job should wait longer than this.
    age_s: float = 90.0
    #: There may be too many workers for so long.
    idle_s: float = 300.0


@dataclass(frozen=True, slots=True)
class WorkerSight:
    """One worker, of any host, as its heartbeat tells."""

    is_ready: bool
    #: Busy share of its rows, 0 .. 1.
    fill: float = 0.0
    #: Seconds of audio that it speaks in a second, None if it has not spoken yet.
    pace: float | None = None


@dataclass(frozen=True, slots=True)
class FarmSight:
    """What waits, what runs, and who works. A worker that drains counts no more."""

    waiting_jobs: int
    #: Seconds of audio.
    waiting_s: float
    oldest_age_s: float
    running_jobs: int
    workers: Sequence[WorkerSight] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What one host has: places for workers, and how many of them work."""

    host: str
    #: GPUs that may be used; 1 without any.
    gpus: int
    #: Workers that are kept at least, and that there may be at most.
    least: int
    most: int
    #: Workers that run or are about to, without those that drain.
    running: int


class Need(NamedTuple):
    """How many workers the whole farm needs, and why."""

    workers: int
    reason: str


class Step(NamedTuple):
    """What one host should do now: start so many workers, or drain them if below 0."""

    workers: int
    reason: str
    #: More or fewer would be right, but not yet.
    is_held: bool = False


def needed(policy: Policy, sight: FarmSight) -> Need:
    """Return how many workers the farm needs for what it has to do."""
    if not sight.waiting_jobs and not sight.running_jobs:
        return Need(0, "nothing waits and nothing runs")
    busy = max(1, math.ceil(sum(worker.fill for worker in sight.workers)))
    if not sight.waiting_jobs:
        return Need(busy, f"{sight.running_jobs} jobs run and nothing waits")
    there = len(sight.workers)
    found = Need(busy, f"{sight.waiting_s:.0f} s of audio wait")
    paces = [worker.pace for worker in sight.workers if worker.pace]
    if paces:
        pace = sum(paces) / len(paces)
        by_pace = math.ceil(sight.waiting_s / (pace * policy.horizon_s))
        words = f"{found.reason}, and one worker speaks {pace:.1f} times real time"
        found = Need(max(busy, by_pace), words)
    elif there:
        found = Need(max(busy, there), f"{found.reason}, and no worker has spoken yet")
    if sight.oldest_age_s > policy.age_s and found.workers <= there:
        # Each step is given the time of a load to help.
        more = all(worker.is_ready for worker in sight.workers)
        words = f"the oldest job has waited {sight.oldest_age_s:.0f} s"
        return Need(there + more, words)
    return found


def shares(need: int, rooms: Sequence[Room]) -> dict[str, int]:
    """Return how many workers each host should have, the same whoever computes it.

    What must be kept comes first, then what runs already, so that nothing moves. What is to be
    added goes to a free GPU before it becomes the second worker of one.
    """
    places = sorted(
        (number >= room.least, number >= room.running, number // room.gpus, room.host, number)
        for room in rooms
        for number in range(max(room.most, 0))
    )
    kept = sum(not spare for spare, *_ in places)
    counts = dict.fromkeys((room.host for room in rooms), 0)
    for *_, host, _number in places[: max(need, kept)]:
        counts[host] += 1
    return counts


class Scaling:
    """The steps of one host, with the memory that a step down needs."""

    def __init__(self, policy: Policy, host: str) -> None:
        self._policy = policy
        self._host = host
        self._low_since_s: float | None = None

    def step(self, now_s: float, sight: FarmSight, rooms: Sequence[Room], *, loading: bool) -> Step:
        """Return what this host, which is one of `rooms`, should do.

        `loading`: one of its workers is on its way. A step up waits for that one, a step down
        until there have been too many workers for `idle_s`.
        """
        need = needed(self._policy, sight)
        mine = next(room for room in rooms if room.host == self._host)
        surplus = mine.running - shares(need.workers, rooms)[self._host]
        if surplus <= 0:
            self._low_since_s = None
        if surplus == 0:
            return Step(0, need.reason)
        if surplus < 0:
            if loading:
                return Step(0, f"{need.reason}; a worker is loading", is_held=True)
            return Step(1, need.reason)
        if self._low_since_s is None:
            self._low_since_s = now_s
        low_s = now_s - self._low_since_s
        if low_s < self._policy.idle_s:
            words = f"{need.reason}; that must stay so for {self._policy.idle_s:.0f} s"
            return Step(0, words, is_held=True)
        self._low_since_s = None
        return Step(-surplus, f"{need.reason}, for {low_s:.0f} s")
