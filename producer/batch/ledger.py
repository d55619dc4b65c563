"""The ledger of batches: written by the client piece by piece, read by everybody.

Items wait as rows in the state `waiting_window`, without a message, until the dispatcher feeds
them. A batch is fed only when it is whole; one whose client died on the way is removed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ..assemble_job import AssembleJob
from ..errors import BatchNotFound, InvalidItem
from ..job_row import JobRow
from ..ledger import fields_of
from ..queues import BATCHES_KEY, PAUSED_KEY, batch_key, job_key, state_key
from ..state import JobState, Reason
from .account import COUNT, book_id_of, job_id_of
from .batch_row import BatchRow
from .reading import Item
from .schedule import Schedule

if TYPE_CHECKING:
    from redis import Redis

#: Items that are written, read or removed in one round trip.
PIECE: Final = 500

#: The parts of a batch behind its key.
_PARTS: Final = ("", ":states", ":queued", ":returned")


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as the ledger has it."""

    number: int
    custom_id: str
    chapter: str
    #: None once the ledger has forgotten it.
    job: JobRow | None


class BatchLedger:
    """Batches in Redis. Thread-safe; the clock is the caller's."""

    def __init__(self, redis: Redis, *, keep_s: float) -> None:
        self._redis = redis
        self._keep_s = int(keep_s)

    def open(
        self,
        batch_id: str,
        name: str,
        client: str,
        schedule: Schedule,
        now_s: float,
        book: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Begin a batch without items. `book` is what its source says of itself."""
        fields: dict[Any, Any] = {"name": name, "client": client, "created_s": now_s}
        fields |= {"book": json.dumps(dict(book))} if book else {}
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(batch_key(batch_id), mapping=fields | schedule.encode())
            pipe.zadd(BATCHES_KEY, {batch_id: now_s})
            pipe.execute()

    def write(
        self, batch_id: str, first: int, items: Sequence[Item | InvalidItem], now_s: float
    ) -> None:
        """Write items from the number `first` on, all or none. One that is wrong is `failed`."""
        entered: dict[JobState, dict[str, float]] = {}
        grown: Counter[str] = Counter()
        with self._redis.pipeline(transaction=True) as pipe:
            for number, item in enumerate(items, start=first):
                job_id = job_id_of(batch_id, number)
                fields = _opening(item, now_s)
                pipe.hset(job_key(job_id), mapping=fields)
                if isinstance(item, InvalidItem):
                    pipe.expire(job_key(job_id), self._keep_s)
                state = JobState(fields["state"])
                entered.setdefault(state, {})[job_id] = now_s
                grown[state] += 1
                grown[f"{state}_ms"] += int(fields.get("speech_s", 0) * 1000 + 0.5)
            for state, ids in entered.items():
                pipe.zadd(state_key(state), ids)
            converted = sum(_is_converted(item) for item in items)
            args: list[str | float] = [first + len(items), now_s, converted]
            for field, more in grown.items():
                args += [field, more]
            keys = [batch_key(batch_id), batch_key(batch_id) + ":states"]
            self._redis.register_script(COUNT)(keys=keys, args=args, client=pipe)
            pipe.execute()

    def ask_for_book(self, batch_id: str, job: AssembleJob, now_s: float) -> None:
        """Have a book made when the batch has ended: its job waits until then."""
        job_id, state = book_id_of(batch_id), JobState.WAITING_WINDOW
        fields: dict[Any, Any] = {"state": state.value, f"at:{state}": now_s, **fields_of(job)}
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(job_key(job_id), mapping=fields)
            pipe.zadd(state_key(state), {job_id: now_s})
            pipe.hset(batch_key(batch_id), "becomes_book", 1)
            pipe.execute()

    def complete(self, batch_id: str) -> None:
        """Say that all items are written: from now on the batch may be fed."""
        self._redis.hset(batch_key(batch_id), "whole", 1)

    def discard(self, batch_id: str) -> None:
        """Remove a batch and all of its items."""
        items = int(str(self._redis.hget(batch_key(batch_id), "items") or 0))
        for first in range(0, items, PIECE):
            ids = [job_id_of(batch_id, n) for n in range(first, min(items, first + PIECE))]
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.delete(*map(job_key, ids))
                for state in (JobState.WAITING_WINDOW, JobState.FAILED):
                    pipe.zrem(state_key(state), *ids)
                pipe.execute()
        book_id = book_id_of(batch_id)
        self._redis.zrem(state_key(JobState.WAITING_WINDOW), book_id)
        self._redis.delete(job_key(book_id), *(batch_key(batch_id) + part for part in _PARTS))
        self._redis.zrem(BATCHES_KEY, batch_id)

    def retire(self, batch_id: str) -> None:
        """Let a batch that has ended be forgotten in time, as its jobs are."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(BATCHES_KEY, batch_id)
            for part in _PARTS:
                pipe.expire(batch_key(batch_id) + part, self._keep_s)
            pipe.execute()

    def row(self, batch_id: str) -> BatchRow:
        """Return what is known of a batch, or raise `BatchNotFound`."""
        for row in self._read([batch_id]):
            return row
        raise BatchNotFound(batch_id)

    def live(self) -> list[BatchRow]:
        """Return the batches that have not ended, oldest first."""
        return self._read([str(found) for found in self._redis.zrange(BATCHES_KEY, 0, -1)])

    def items(self, batch_id: str) -> Iterator[ItemRow]:
        """Yield every item in the order of the input, some at a time."""
        for number, fields in self.raw_items(batch_id):
            yield item_row(number, job_id_of(batch_id, number), fields)

    def raw(self, batch_id: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the two hashes of a batch as Redis has them; empty if it is not known."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(batch_key(batch_id))
            pipe.hgetall(batch_key(batch_id) + ":states")
            fields, states = pipe.execute()
        return fields, states

    def raw_items(self, batch_id: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the number of every item and its row as Redis has it, empty if forgotten."""
        total = self.row(batch_id).items
        for first in range(0, total, PIECE):
            numbers = range(first, min(total, first + PIECE))
            with self._redis.pipeline(transaction=False) as pipe:
                for number in numbers:
                    pipe.hgetall(job_key(job_id_of(batch_id, number)))
                found = pipe.execute()
            yield from zip(numbers, found, strict=True)

    def mark(self, batch_id: str, what: str, *, wanted: bool) -> None:
        """Set or take away `paused` or `cancelled`; raise `BatchNotFound`."""
        self.row(batch_id)
        if wanted:
            self._redis.hset(batch_key(batch_id), what, 1)
        else:
            self._redis.hdel(batch_key(batch_id), what)

    def pause_all(self, *, wanted: bool) -> None:
        """Hold all batches back, or let them go on."""
        if wanted:
            self._redis.set(PAUSED_KEY, 1)
        else:
            self._redis.delete(PAUSED_KEY)

    @property
    def all_paused(self) -> bool:
        """True while all batches are held back."""
        return bool(self._redis.exists(PAUSED_KEY))

    def _read(self, batch_ids: Sequence[str]) -> list[BatchRow]:
        with self._redis.pipeline(transaction=False) as pipe:
            for batch_id in batch_ids:
                pipe.hgetall(batch_key(batch_id))
                pipe.hgetall(batch_key(batch_id) + ":states")
            found = pipe.execute()
        pairs = zip(batch_ids, found[::2], found[1::2], strict=True)
        return [
            BatchRow.decode(batch_id, fields, states)
            for batch_id, fields, states in pairs
            if "name" in fields
        ]


def item_row(number: int, job_id: str, fields: Mapping[str, str]) -> ItemRow:
    """Read an item's Redis hash."""
    job = JobRow.decode(job_id, fields) if fields else None
    return ItemRow(number, fields.get("item", ""), fields.get("chapter", ""), job)


def _is_converted(item: Item | InvalidItem) -> bool:
    return isinstance(item, Item) and item.job.convert is not None


def _opening(item: Item | InvalidItem, now_s: float) -> dict[Any, Any]:
    """Return the fields of a new row."""
    if isinstance(item, InvalidItem):
        return {
            "state": JobState.FAILED.value,
            "at:failed": now_s,
            "item": item.custom_id,
            "reason": Reason.INVALID_JOB.value,
            "detail": str(item),
        }
    fields: dict[Any, Any] = {
        "state": JobState.WAITING_WINDOW.value,
        "at:waiting_window": now_s,
        **fields_of(item.job),
        "item": item.custom_id,
    }
    return fields | ({"chapter": item.chapter} if item.chapter else {})
