"""Intake: how a worker takes messages off its queues, as many in one round trip as it has room for.

One script takes them and notes them as delivered (see `lease`), so that there is no moment in
which the death of the worker loses one. Waiting is the one thing that a script cannot do: a worker
that has found its queues empty waits for the first message as kombu does, and has it noted by
the script that looks for more.

What the row of a job says holds here already: the message of one that has ended, such as one that
was cancelled while it waited, is dropped in the same step, and holds up nothing behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from producer.queues import DELIVERED_KEY, DELIVERIES_KEY, LEASES_KEY, job_key
from producer.scripting import ALSO_WHEN_FULL
from producer.state import JobState

#: Messages that are taken at once. The loop does nothing else while it gives them to the pool.
AT_ONCE: Final = 16

#: Of the messages that wait, one in so many may be taken at once, or one: the end of a queue goes
#: to whoever is first to ask, one by one, and two idle workers share even a short one.
SHARE: Final = 16

#: Messages that one step looks at, at most, where it has to drop many. Redis serves nobody else
#: meanwhile: for 10 ms (1 kB each, measured on 2 shared cores).
LOOKED_AT: Final = 200

#: Says how the job of a message has ended, and its id; nothing if it has not, or is unknown.
#: Whoever got the message of one that has ended would find no way to run it.
_END: Final = """
local function end_of(message)
  local id = type(message.headers) == 'table' and message.headers.id
  if type(id) ~= 'string' then return end
  -- An error would lose all that was taken before.
  local state = redis.pcall('HGET', '{JOB}' .. id, 'state')
  if type(state) == 'string' and string.find('{ENDS}', ',' .. state .. ',', 1, true) then
    return state, id
  end
end
""".replace("{JOB}", job_key("")).replace(
    "{ENDS}", f",{','.join(state for state in JobState if state.is_final)},"
)

#: Takes messages as they are and notes them, by Redis' own clock; those of jobs that have ended
#: it drops. KEYS deliveries, delivered, leases, queues in their order. ARGV holder, most, share,
#: looks, a queue and the message that it gave already (or two empty ones), room for each queue. A
#: queue is looked at when those before it are empty. Returns how many of the queues are empty now,
#: the ids of the cancelled jobs among what was dropped, and then queue, tag and message, in turn;
#: what has no tag is not noted.
_TAKE: Final = (
    ALSO_WHEN_FULL
    + _END
    + """
local t = redis.call('TIME'); local now = t[1] + t[2] / 1e6
local cancelled = {}
local answer, taken, looked, empty = {0, cancelled}, 0, 0, 0
local function note(queue, raw)
  -- What is not ASCII is none of ours, and could not be read again.
  local read, message = pcall(cjson.decode, string.find(raw, '[\\128-\\255]') and '' or raw)
  local known = read and type(message) == 'table' and message.properties
  local tag = type(known) == 'table' and known.delivery_tag
  if type(tag) == 'string' then
    local ended, id = end_of(message)
    if ended == 'cancelled' then cancelled[#cancelled + 1] = id end
    if ended then return end
    local place = '"' .. queue .. '"'
    redis.call('ZADD', KEYS[1], now, tag)
    redis.call('HSET', KEYS[2], tag, '[' .. raw .. ', ' .. place .. ', ' .. place .. ']')
    redis.call('HSET', KEYS[3], tag, ARGV[1])
  else
    tag = ''
  end
  answer[#answer + 1] = queue
  answer[#answer + 1] = tag
  answer[#answer + 1] = raw
  taken = taken + 1
end
if ARGV[5] ~= '' then note(ARGV[5], ARGV[6]) end
for i = 4, #KEYS do
  local waiting, before = redis.call('LLEN', KEYS[i]), taken
  repeat
    local share = math.max(1, math.floor(waiting / ARGV[3])) - (taken - before)
    local room = math.min(ARGV[2] - taken, ARGV[i + 3] - taken, ARGV[4] - looked)
    local some = math.max(0, math.min(waiting, share, room))
    if some > 0 then
      for _, raw in ipairs(redis.call('RPOP', KEYS[i], some)) do note(KEYS[i], raw) end
    end
    looked, waiting = looked + some, waiting - some
  until some == 0
  if waiting > 0 then break end
  empty = empty + 1
end
answer[1] = empty
return answer
"""
)


class Taken(NamedTuple):
    """A message that is this worker's now, as it stood in its queue."""

    queue: str
    #: Its delivery tag; "" if Redis could not read it: then nobody holds it.
    tag: str
    entry: bytes


class Intake:
    """What one connection asks its queues for, and what it has found."""

    def __init__(self) -> None:
        self._asked: Sequence[str] = ()
        self._empty: frozenset[str] = frozenset()
        self._cancelled: list[str] = []

    def is_empty(self, queues: Iterable[str]) -> bool:
        """True if all of these were empty when they were looked at last: it is time to wait."""
        return self._empty.issuperset(queues)

    def command(
        self, holder: str, room: dict[str, int], first: tuple[str, bytes] | None = None
    ) -> tuple[Any, ...]:
        """Return the command that takes for `holder` what there is room for, queue by queue.

        `first` is a message that Redis has given already, and its queue: it is taken whatever
        the room.
        """
        self._asked = tuple(room)
        keys = [DELIVERIES_KEY, DELIVERED_KEY, LEASES_KEY, *room]
        told = [holder, AT_ONCE, SHARE, LOOKED_AT, *(first or ("", "")), *room.values()]
        # By its text: who sends one command cannot ask first whether Redis knows the script.
        return ("EVAL", _TAKE, len(keys), *keys, *told)

    def read(self, answer: Sequence[Any]) -> list[Taken]:
        """Return what the command has taken."""
        empty, cancelled, *found = answer
        self._cancelled += (job_id.decode() for job_id in cancelled)
        self._empty = frozenset(self._asked[:empty])
        parts = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [Taken(queue.decode(), tag.decode(), entry) for queue, tag, entry in parts]

    def cancelled(self) -> list[str]:
        """Return the cancelled jobs whose messages were dropped since the last call."""
        cancelled, self._cancelled = self._cancelled, []
        return cancelled
