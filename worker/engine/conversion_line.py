"""What waits to be converted, and what is converted next. Pure: no clock, thread or network.

Those go first whom somebody waits for now, then the others, by age; which of them share a batch
is `next_turn`'s to say. Whoever was passed over `PATIENCE` times goes before all who were not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from .converter import Source
from .rvc.voice_turns import TurnLimits, next_turn

#: How many batches may pass somebody over before the next one is led by them.
PATIENCE: Final = 8


@dataclass(slots=True, eq=False)
class _Waiting:
    source: Source
    interactive: bool
    #: Grows with every arrival.
    place: int
    passed: int = 0

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The smallest goes first."""
        overdue = self.passed >= PATIENCE
        return not overdue, not (overdue or self.interactive), self.place


class ConversionLine:
    """Sources in the order of their arrival, each here once."""

    def __init__(self) -> None:
        self._places = count()
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[str]:
        return iter(self._waiting)

    @property
    def duration_s(self) -> float:
        """Of all that waits."""
        return sum(one.source.duration_s for one in self._waiting.values())

    @property
    def is_urgent(self) -> bool:
        """True if somebody waits for one of them, or one was passed over too often."""
        return any(one.interactive or one.passed >= PATIENCE for one in self._waiting.values())

    def add(self, source: Source, *, interactive: bool) -> None:
        """Put a source at the end."""
        self._waiting[source.id] = _Waiting(source, interactive, next(self._places))

    def drop(self, source_id: str) -> None:
        """Forget a source; one that is not here is no error."""
        self._waiting.pop(source_id, None)

    def put_back(self, sources: Sequence[Source]) -> None:
        """Let sources that were just taken go first again, in the order given."""
        back = {
            source.id: _Waiting(source, True, place - len(sources), PATIENCE)
            for place, source in enumerate(sources)
        }
        self._waiting = back | self._waiting

    def take(self, limit_s: float) -> list[Source]:
        """Return the next batch: `limit_s` of audio at most, but one source at least."""
        ranked = [one.source for one in sorted(self._waiting.values(), key=lambda one: one.rank)]
        batch = next_turn(ranked, TurnLimits(duration_s=limit_s))
        for source in batch:
            del self._waiting[source.id]
        for one in self._waiting.values():
            one.passed += 1
        return batch
