"""What stays in a room of so many bytes: what is held, and of the rest what was used last. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Entry(Generic[Value]):
    value: Value
    size_bytes: int
    holders: int = 0


class ByteLru(Generic[Key, Value]):
    """Values by key, the least recently used first. Not thread-safe.

    Never more bytes than the budget, except that a value which is larger than all of it may stand
    there alone.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()
        #: Of all values.
        self.size_bytes = 0
        #: Values that had to go, so far.
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    @property
    def held(self) -> int:
        """How many values somebody holds."""
        return sum(entry.holders > 0 for entry in self._entries.values())

    def fits(self, size_bytes: int) -> bool:
        """Tell whether a value is not larger than the whole budget."""
        return size_bytes <= self._budget_bytes

    def has_room(self, size_bytes: int) -> bool:
        """Tell whether a value fits beside all that is here."""
        return self.size_bytes + size_bytes <= self._budget_bytes

    def get(self, key: Key, *, hold: bool = False) -> Value | None:
        """Return a value and make it the last one to go; held, it stays until it is released."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        entry.holders += hold
        return entry.value

    def room_for(self, size_bytes: int) -> bool:
        """Let values go until so many bytes are free. False, and none has gone, if that fails."""
        kept_bytes = sum(one.size_bytes for one in self._entries.values() if one.holders)
        if kept_bytes and kept_bytes + size_bytes > self._budget_bytes:
            return False
        for key in list(self._entries):
            if self.size_bytes + size_bytes <= self._budget_bytes:
                break
            if not self._entries[key].holders:
                self._drop(key)
                self.evictions += 1
        return True

    def clear(self) -> None:
        """Let everything go that nobody holds."""
        for key in [key for key, entry in self._entries.items() if not entry.holders]:
            self._drop(key)
            self.evictions += 1

    def put(self, key: Key, value: Value, size_bytes: int, *, holders: int = 0) -> None:
        """Keep a new value as the last one to go. `room_for` comes first."""
        self._entries[key] = _Entry(value, size_bytes, holders)
        self.size_bytes += size_bytes

    def release(self, key: Key) -> None:
        """End one hold. Raises `KeyError` for what nobody holds."""
        entry = self._entries[key]
        if not entry.holders:
            raise KeyError(key)
        entry.holders -= 1

    def _drop(self, key: Key) -> None:
        self.size_bytes -= self._entries.pop(key).size_bytes
