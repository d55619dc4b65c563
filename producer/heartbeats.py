"""Heartbeats: what each worker, and each `up`, says of itself every few seconds.

A heartbeat runs out by itself, so whoever is there is alive, or was a moment ago. Everybody
who scales workers reads the same ones: there is no leader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .queues import Beating, beat_key, beats_key
from .scripting import ALSO_WHEN_FULL

if TYPE_CHECKING:
    from redis import Redis

#: How often one beats.
BEAT_S: Final = 2.0

#: How long a heartbeat stays: four may be missed.
BEAT_LIFE_S: Final = 10

#: How long a name is remembered after its last beat.
_NAME_LIFE_S: Final = 86400

#: Who scales must see its workers, also while the broker is full. KEYS beat, names. ARGV facts,
#: life, name, now, oldest name.
_BEAT: Final = (
    ALSO_WHEN_FULL
    + """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
"""
)


def beat(redis: Redis, kind: Beating, name: str, facts: Mapping[str, Any], now_s: float) -> None:
    """Say that `name` is there, with plain JSON facts; `now_s` is the epoch."""
    keys = [beat_key(kind, name), beats_key(kind)]
    args: list[str | float] = [json.dumps(facts), BEAT_LIFE_S, name, now_s, now_s - _NAME_LIFE_S]
    redis.register_script(_BEAT)(keys=keys, args=args)


def heartbeats(redis: Redis, kind: Beating) -> dict[str, dict[str, Any]]:
    """Return the facts of all that are there, by name; `redis` returns text."""
    names: list[Any] = redis.zrange(beats_key(kind), 0, -1)
    if not names:
        return {}
    told: Any = redis.mget([beat_key(kind, name) for name in names])
    return {name: json.loads(facts) for name, facts in zip(names, told, strict=True) if facts}


def forget(redis: Redis, kind: Beating, name: str) -> None:
    """Take away the heartbeat of one that has ended."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.delete(beat_key(kind, name))
        pipe.zrem(beats_key(kind), name)
        pipe.execute()
