"""How a row changes: the Lua that runs inside Redis, one whole step each.

Whoever runs a job holds two things: the row's `token`, fresh for each attempt, and the
message that the attempt came with, whose delivery tag stands in the row as `tag`. A change
that names a token is refused once another attempt has taken the row over.
"""

from __future__ import annotations

from typing import Final

from .batch.account import ACCOUNT
from .queues import changes_channel, state_key
from .scripting import ALSO_WHEN_FULL

#: Writes the row, unless the idempotency key already names one; returns the id that counts.
#: KEYS row, index, idempotency key. ARGV id, now, keep_s, fields...
CREATE: Final = """
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then return known end
  redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[3])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return ARGV[1]
"""

#: Takes a row back that nobody has begun, and its idempotency key. KEYS row, index, idempotency
#: key. ARGV id.
WITHDRAW: Final = (
    ALSO_WHEN_FULL
    + """
if redis.call('HGET', KEYS[1], 'state') == 'queued' then redis.call('DEL', KEYS[1]) end
redis.call('ZREM', KEYS[2], ARGV[1])
if KEYS[3] and redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end
"""
)

#: Writes fields of a row. KEYS row. ARGV fields... Returns whether somebody wants it cancelled.
NOTE: Final = (
    ALSO_WHEN_FULL
    + """
redis.call('HSET', KEYS[1], unpack(ARGV))
return redis.call('HEXISTS', KEYS[1], 'cancel')
"""
)

#: What the scripts below share: enter a state, in the row, in the indexes and for all who follow.
ENTER: Final = (
    ACCOUNT
    + """
local function enter(row, id, before, target, now, keep_s)
  redis.call('HSET', row, 'state', target, 'at:' .. target, now)
  if target ~= 'running' and target ~= 'assembling' then
    redis.call('HDEL', row, 'token', 'tag')
  end
  redis.call('ZREM', '{STATE}' .. before, id)
  redis.call('ZADD', '{STATE}' .. target, now, id)
  if keep_s > 0 then
    redis.call('EXPIRE', row, keep_s)
    redis.call('ZREMRANGEBYSCORE', '{STATE}' .. target, '-inf', now - keep_s)
  end
  redis.call('PUBLISH', '{CHANGES}' .. id, target)
  account(row, id, before, target)
end
local function allows(states, state)
  return string.find(states, ',' .. state .. ',', 1, true)
end
""".replace("{STATE}", state_key("")).replace("{CHANGES}", changes_channel(""))
)

#: Changes the state if the present one allows it and the token is the row's, or is empty.
#: KEYS row. ARGV id, target, allowed, now, keep_s, token, fields... Returns the state before
#: and whether it was changed; nothing if there is no row.
CHANGE: Final = (
    ALSO_WHEN_FULL
    + ENTER
    + """
local before = redis.call('HGET', KEYS[1], 'state')
if not before then return {} end
if not allows(ARGV[3], before) then return {before, 0} end
if ARGV[6] ~= '' and redis.call('HGET', KEYS[1], 'token') ~= ARGV[6] then return {before, 0} end
if #ARGV > 6 then redis.call('HSET', KEYS[1], unpack(ARGV, 7)) end
enter(KEYS[1], ARGV[1], before, ARGV[2], ARGV[4], tonumber(ARGV[5]))
return {before, 1}
"""
)

#: Enters `running` for a new attempt. KEYS row, deliveries. ARGV id, allowed, now, node, token,
#: tag. Returns the state before, the job's text and how often its worker has vanished while it
#: ran; the state alone if it has no way to `running`, or if the attempt that has the row came
#: with another message that is still delivered. An attempt that has the row already, and asks
#: again because its first reply was lost, is told the same and counts once.
START: Final = (
    ALSO_WHEN_FULL
    + ENTER
    + """
local before = redis.call('HGET', KEYS[1], 'state')
if not before then return {} end
local function started(losses)
  return {before, redis.call('HGET', KEYS[1], 'spec'), losses}
end
if before == 'running' and redis.call('HGET', KEYS[1], 'token') == ARGV[5] then
  return started(redis.call('HGET', KEYS[1], 'losses'))
end
if not allows(ARGV[2], before) then return {before} end
local tag = redis.call('HGET', KEYS[1], 'tag')
if tag and tag ~= ARGV[6] and redis.call('ZSCORE', KEYS[2], tag) then return {before} end
redis.call('HSET', KEYS[1], 'node', ARGV[4], 'token', ARGV[5], 'tag', ARGV[6])
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
enter(KEYS[1], ARGV[1], before, 'running', ARGV[3], 0)
local lost = (before == 'running' or before == 'assembling') and 1 or 0
return started(redis.call('HINCRBY', KEYS[1], 'losses', lost))
"""
)
