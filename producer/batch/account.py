"""What a batch knows of its items: how many are in each state, and how much audio.

Every script that changes the state of a job keeps this account in the same step, so that it is
never wrong. An item's job is called by the batch and the item's number, so nothing in Redis has
to lead from one to the other.
"""

from __future__ import annotations

import uuid
from typing import Final

from ..queues import batch_key

#: Hex digits of a batch's id, and of an item's number behind it in the id of the item's job.
BATCH_DIGITS: Final = 24
NUMBER_DIGITS: Final = 8

#: Stands in the place of an item's number in the id of the job that makes the batch's book.
_BOOK: Final = "f" * NUMBER_DIGITS

#: Keeps the account of one change; nothing happens for a job that is no item. `before` may be nil.
#: Beside the counts, by state, there are milliseconds of expected audio; and the items that are
#: queued, by their number.
ACCOUNT: Final = """
local function account(row, id, before, target)
  if redis.call('HEXISTS', row, 'item') == 0 then return end
  local batch = '{BATCH}' .. string.sub(id, 1, {DIGITS})
  if redis.call('EXISTS', batch) == 0 then return end
  local speech_s = tonumber(redis.call('HGET', row, 'speech_s')) or 0
  local ms = math.floor(speech_s * 1000 + 0.5)
  if before then
    redis.call('HINCRBY', batch .. ':states', before, -1)
    redis.call('HINCRBY', batch .. ':states', before .. '_ms', -ms)
  end
  redis.call('HINCRBY', batch .. ':states', target, 1)
  redis.call('HINCRBY', batch .. ':states', target .. '_ms', ms)
  if target == 'queued' then
    redis.call('ZADD', batch .. ':queued', tonumber(string.sub(id, {DIGITS} + 1), 16), id)
  elseif before == 'queued' then
    redis.call('ZREM', batch .. ':queued', id)
  end
end
""".replace("{BATCH}", batch_key("")).replace("{DIGITS}", str(BATCH_DIGITS))

#: Counts items that were written, once: a client whose connection was cut before the reply writes
#: them again. KEYS batch, its states. ARGV items of the batch with these, now, how many of these
#: are converted, then a field of the states and what it grows by, as often as needed.
COUNT: Final = """
if (tonumber(redis.call('HGET', KEYS[1], 'items')) or 0) >= tonumber(ARGV[1]) then return end
redis.call('HSET', KEYS[1], 'items', ARGV[1], 'written_s', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'converted', ARGV[3])
for at = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[at], ARGV[at + 1]) end
"""


def new_batch_id() -> str:
    """Return a fresh id: 24 hex digits."""
    return uuid.uuid4().hex[:BATCH_DIGITS]


def book_id_of(batch_id: str) -> str:
    """Return the id of the job that makes the book which was asked for with the batch."""
    return batch_id + _BOOK


def job_id_of(batch_id: str, number: int) -> str:
    """Return the id of the job of an item; the first has number 0."""
    return f"{batch_id}{number:0{NUMBER_DIGITS}x}"
