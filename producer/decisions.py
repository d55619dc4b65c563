"""Decisions: what every `up` has done about its workers, and why, for whoever asks later."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import TypeAdapter, ValidationError

from .queues import DECISIONS_KEY

if TYPE_CHECKING:
    from redis import Redis

#: Decisions that are kept, of all hosts together.
KEPT: Final = 1000


class Action(StrEnum):
    """What can be done about a worker."""

    START = "start"
    #: It died, and is started again.
    RESTART = "restart"
    #: It hangs, and is killed.
    REPLACE = "replace"
    #: It finishes the jobs in hand and ends.
    DRAIN = "drain"
    #: It dies again and again, and is started no more.
    GIVE_UP = "give-up"
    #: More or fewer workers would be right, but not now.
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision."""

    #: Epoch seconds.
    at_s: float
    #: Which `up` decided.
    host: str
    action: Action
    #: The worker it is about; "" if none.
    node: str
    #: Workers of this host afterwards.
    workers: int
    reason: str

    def encode(self) -> str:
        """Return JSON; `decode` reads it back."""
        return _JSON.dump_json(self).decode()

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Read what `encode` returned; None for anything else, such as another version's."""
        try:
            return cls(**asdict(_JSON.validate_json(text)))
        except ValidationError:
            return None


_JSON: Final = TypeAdapter(Decision)


def record(redis: Redis, decision: Decision) -> None:
    """Keep a decision; the oldest ones make room."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.lpush(DECISIONS_KEY, decision.encode())
        pipe.ltrim(DECISIONS_KEY, 0, KEPT - 1)
        pipe.execute()


def decisions(redis: Redis, limit: int) -> list[Decision]:
    """Return the last decisions, newest first; `redis` returns text."""
    kept: list[Any] = redis.lrange(DECISIONS_KEY, 0, limit - 1)
    return [found for text in kept if (found := Decision.decode(text)) is not None]
