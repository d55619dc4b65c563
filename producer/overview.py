"""The overview: what waits, who works, and who keeps them, as the farm's heartbeats tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .backlog import Backlog
from .batch.demand import read_demand
from .heartbeats import heartbeats
from .queues import QUEUES, Beating, Priority

if TYPE_CHECKING:
    from redis import Redis

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overview:
    """One look at the farm."""

    #: The last heartbeat of each worker, by node, and of each `up`, by its name.
    workers: Mapping[str, Facts] = field(default_factory=dict)
    hosts: Mapping[str, Facts] = field(default_factory=dict)
    backlog: Backlog = field(
        default_factory=lambda: Backlog(
            jobs=dict.fromkeys(Priority, 0), audio_s=dict.fromkeys(Priority, 0.0)
        )
    )

    @property
    def posts(self) -> dict[str, Facts]:
        """The places that every `up` keeps, by node: `state` and `restarts`."""
        return {
            node: facts
            for host in self.hosts.values()
            for node, facts in host.get("posts", {}).items()
        }


def takes(facts: Facts, queues: Iterable[str]) -> bool:
    """Return whether a worker takes messages from one of these queues, by what it tells of itself.

    One of another version may not tell; it takes them all.
    """
    return bool({*queues} & {*facts.get("queues", QUEUES)})


def is_served(workers: Mapping[str, Facts], queues: Iterable[str]) -> bool:
    """Return whether one of the workers that answer takes messages from one of these queues."""
    wanted = [*queues]
    return any(takes(facts, wanted) for facts in workers.values())


def read_overview(redis: Redis, now_s: float) -> Overview:
    """Look at the farm; `redis` returns text."""
    return Overview(
        heartbeats(redis, Beating.WORKER),
        heartbeats(redis, Beating.HOST),
        read_demand(redis, now_s),
    )
