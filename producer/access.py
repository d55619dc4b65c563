"""Who may do what on a shared broker: one Valkey user a role, as lines of its ACL file.

A script is no way around: what it does is checked against the user who runs it.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

from .queues import (
    BATCHES_KEY,
    CATALOGUE_KEY,
    PAUSED_KEY,
    PREFIX,
    QUEUES,
    RATES_KEY,
    REPLICATION_KEY,
    batch_key,
    changes_channel,
    idempotency_key,
    job_key,
    state_key,
)


class Role(StrEnum):
    """A user of the broker."""

    #: Everything; for whoever runs the server.
    ADMIN = "admin"
    #: Queues jobs, follows them, cancels and retries them.
    PRODUCER = "producer"
    #: Takes jobs and does them.
    WORKER = "worker"
    #: Looks: Flower, `inspect`, `voicefarm status` and `workers`.
    MONITOR = "monitor"
    #: Asks how long the queues are: KEDA.
    SCALER = "scaler"


#: What every connection needs. By category, as Redis 7.0 refuses a file that names
#: `client|setinfo`, which came with 7.2; all that `client` may do to others is dangerous.
_CONNECT: Final = "-@all +@connection -@admin -@dangerous +info"

#: kombu's routing table of our queues.
_BINDINGS: Final = ("_kombu.binding.speech.*", "_kombu.binding_permanent.speech.*")

#: kombu's queues for the events and the answers of workers, and what it keeps of them.
_REPLIES: Final = (
    *("*.reply.celery.pidbox*", "_kombu.binding.reply.celery.pidbox", "celeryev.*"),
    *("_kombu.binding_permanent.reply.celery.pidbox", "_kombu.binding_deadlines"),
    *("_kombu.binding.celeryev", "_kombu.binding_permanent.celeryev"),
)

_PRODUCER_COMMANDS: Final = (
    # Rows, and the scripts that change them.
    *("hset", "hget", "hgetall", "hexists", "hdel", "hincrby", "hmget", "del", "expire", "persist"),
    *("zadd", "zrem", "zremrangebyscore", "zrange", "zrevrange", "zcard", "zrandmember"),
    *("get", "set", "eval", "evalsha", "script|load", "script|exists", "wait", "exists"),
    # Messages and changes.
    *("lpush", "llen", "sadd", "smembers", "multi", "exec", "publish", "subscribe", "unsubscribe"),
)

_MONITOR_COMMANDS: Final = (
    *("hget", "hgetall", "hmget", "hlen", "zrange", "zrevrange", "zcard", "zrandmember"),
    *("llen", "lrange", "mget"),
    *("smembers", "publish", "subscribe", "unsubscribe", "psubscribe", "punsubscribe"),
    # To ask the workers: a queue for their answers.
    *("brpop", "sadd", "srem", "del", "pexpire", "multi", "exec", "zadd", "zrem", "zscore"),
    *(
        "eval",
        "evalsha",
        "script|load",
        "script|exists",
        "time",
        "exists",
        "scard",
        "zrangebyscore",
    ),
)

#: By category: a worker may do all of the ordinary, on the farm's keys.
_WORKER_COMMANDS: Final = (
    "+@read +@write +@pubsub +@scripting +@transaction +time +wait +watch +unwatch +echo "
    "-@admin -@dangerous -script|flush -script|kill +info"
)


_KEYS: Final[dict[Role, tuple[str, ...]]] = {
    Role.PRODUCER: (
        *(f"~{key}" for key in (job_key("*"), state_key("*"), idempotency_key("*"))),
        *(f"~{queue}*" for queue in QUEUES),
        *(f"~{key}" for key in _BINDINGS),
        f"%R~{CATALOGUE_KEY}",
        *(f"~{key}" for key in (batch_key("*"), BATCHES_KEY, PAUSED_KEY)),
        f"%R~{RATES_KEY}",
        f"%W~{REPLICATION_KEY}",
    ),
    Role.WORKER: (f"~{PREFIX}:*", "~speech.*", "~unacked*", "~_kombu.*", "~*.celery.pidbox*"),
    Role.MONITOR: (*(f"~{key}" for key in _REPLIES), f"%R~{PREFIX}:*", "%R~speech.*"),
    # A script's keys must be its own to write, whatever it does; no command of it writes.
    Role.SCALER: tuple(f"~{queue}*" for queue in QUEUES),
}

_COMMANDS: Final[dict[Role, str]] = {
    Role.PRODUCER: " ".join(f"+{name}" for name in _PRODUCER_COMMANDS),
    Role.WORKER: _WORKER_COMMANDS,
    Role.MONITOR: " ".join(f"+{name}" for name in _MONITOR_COMMANDS),
    Role.SCALER: "+eval +type +llen",
}


def rules(role: Role, db: int = 0) -> str:
    """Return what a user of `role` may do, in the words of `ACL SETUSER`; pure.

    `db` is the number of the broker's database, which stands in Celery's channels.
    """
    if role is Role.ADMIN:
        return "~* &* +@all"
    channels = [] if role is Role.SCALER else [changes_channel("*"), f"/{db}.celeryev/*"]
    if role in (Role.WORKER, Role.MONITOR):
        channels += [f"/{db}.celery.pidbox", f"/{db}.celery.pidbox/*"]
    keys, commands = _KEYS[role], _COMMANDS[role]
    return " ".join([*keys, *(f"&{channel}" for channel in channels), _CONNECT, commands])


def user_line(role: Role, password: str, db: int = 0) -> str:
    """Return the user's line of an ACL file; of the password it has the SHA-256 alone."""
    hashed = hashlib.sha256(password.encode()).hexdigest()
    return f"user {role} on sanitize-payload #{hashed} resetchannels {rules(role, db)}"
