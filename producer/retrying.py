"""A second chance: a job that failed goes back to its queue, with its text and parameters."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from .batch.account import ACCOUNT
from .errors import JobNotFound
from .queues import changes_channel, job_key, state_key
from .state import JobState

if TYPE_CHECKING:
    from redis import Redis

#: Forgets how a failed job ended; returns the state before, also to who asks again because the
#: first reply was lost. KEYS row, failed, queued. ARGV id, now, channel, who asks.
_FREE: Final = (
    ACCOUNT
    + """
local before = redis.call('HGET', KEYS[1], 'state')
local is_ours = redis.call('HGET', KEYS[1], 'freed_by') == ARGV[4]
if before == 'queued' and is_ours then return 'failed' end
if before ~= 'failed' then return before end
redis.call('HDEL', KEYS[1], 'reason', 'detail', 'losses', 'attempts', 'cancel', 'node',
  'chunks', 'chunks_done', 'audio_s', 'stage', 'stage_share')
redis.call('HSET', KEYS[1], 'state', 'queued', 'at:queued', ARGV[2], 'freed_by', ARGV[4])
redis.call('PERSIST', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
redis.call('PUBLISH', ARGV[3], 'queued')
account(KEYS[1], ARGV[1], before, 'queued')
return before
"""
)


def free(redis: Redis, job_id: str, now_s: float) -> JobState:
    """Enter `queued` again if the job has failed; return the state before.

    Its message is the caller's to send. Raises `JobNotFound`. A cancelled job is not freed:
    workers remember its id and would drop it.
    """
    indexes = [state_key(JobState.FAILED), state_key(JobState.QUEUED)]
    keys = [job_key(job_id), *indexes]
    args: list[Any] = [job_id, now_s, changes_channel(job_id), uuid.uuid4().hex]
    before = redis.register_script(_FREE)(keys=keys, args=args)
    if before is None:
        raise JobNotFound(job_id)
    return JobState(before)
