"""Staffing: from what the farm tells to how many workers should stand on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from producer.backlog import Backlog
from producer.overview import takes
from producer.queues import SPEECH_QUEUES

from .farm_view import FarmView
from .readiness import Readiness
from .scaling import FarmSight, Policy, Room, Scaling, Step, WorkerSight

#: Workers that count no more.
_LEAVING = (Readiness.DRAINING, Readiness.BROKEN)

#: The batch of a worker that is measured must be so full: a lone sentence is no pace.
FULL_ENOUGH = 0.5


class Staffing:
    """Looks at the whole farm and decides for one host. Raises `BrokerAway`."""

    def __init__(self, view: FarmView, policy: Policy, host: str) -> None:
        self._view = view
        self._host = host
        self._scaling = Scaling(policy, host)

    def step(self, now_s: float, mine: Room, *, loading: bool) -> Step:
        """Return what to do now; `mine` is as it is at this moment."""
        rooms = [mine]
        for host, facts in self._view.hosts().items():
            if host != self._host and (room := room_of(host, facts)) is not None:
                rooms.append(room)
        sight = sight_of(self._view.backlog(), self._view.workers(), rooms)
        return self._scaling.step(now_s, sight, rooms, loading=loading)


def room_facts(room: Room) -> dict[str, Any]:
    """Return what a host tells the others of its room; `room_of` reads it back."""
    return {
        "gpus": room.gpus,
        "least": room.least,
        "most": room.most,
        "running": room.running,
    }


def room_of(host: str, facts: Mapping[str, Any]) -> Room | None:
    """Return the room of another host; None if it told something else."""
    try:
        numbers = [int(facts[name]) for name in ("gpus", "least", "most", "running")]
    except (KeyError, TypeError, ValueError):
        return None
    return Room(host, max(1, numbers[0]), *numbers[1:])


def sight_of(
    backlog: Backlog, workers: Mapping[str, Mapping[str, Any]], rooms: Sequence[Room]
) -> FarmSight:
    """Return the farm's numbers; a worker that a host has started and that has not told
    anything yet counts as one that loads. One for books alone is none of those that are scaled."""
    seen = [_seen(facts) for facts in workers.values() if _counts(facts)]
    silent = max(0, sum(room.running for room in rooms) - len(seen))
    return FarmSight(
        waiting_jobs=backlog.waiting_jobs,
        waiting_s=backlog.waiting_s,
        oldest_age_s=backlog.oldest_age_s,
        running_jobs=backlog.running,
        workers=[*seen, *[WorkerSight(is_ready=False)] * silent],
    )


def _counts(facts: Mapping[str, Any]) -> bool:
    return facts.get("state") not in _LEAVING and takes(facts, SPEECH_QUEUES)


def _seen(facts: Mapping[str, Any]) -> WorkerSight:
    slots = facts.get("slots") or 0
    fill = min(1.0, (facts.get("active") or 0) / slots) if slots else 0.0
    pace = facts.get("real_time_factor") if fill >= FULL_ENOUGH else None
    return WorkerSight(is_ready=facts.get("state") == Readiness.READY, fill=fill, pace=pace)
