"""What is known of a batch: who asked for it, when it may run, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from ..state import JobState
from .estimate import path_of
from .schedule import Schedule


@dataclass(frozen=True)
class BatchRow:
    """A batch as Redis has it."""

    id: str
    #: What a person calls it: the title of a book, the name of a file.
    name: str
    #: Who asked for it: clients share the farm, not batches.
    client: str
    created_s: float
    #: Items written so far; all of them once `is_whole`.
    items: int
    is_whole: bool
    schedule: Schedule
    paused: bool
    cancelled: bool
    #: The number of the first item that was never fed.
    next: int
    #: When its client last wrote items.
    written_s: float
    #: Items that are converted into another voice behind their speech.
    converted: int = 0
    #: What its source says of a book: `title`, `author` and `cover`, as far as there are any.
    book: Mapping[str, str] = field(default_factory=dict)
    #: True if a book was asked for with it.
    becomes_book: bool = False
    counts: Mapping[JobState, int] = field(default_factory=dict)
    #: Seconds of audio, expected, by state.
    audio_s: Mapping[JobState, float] = field(default_factory=dict)

    @cached_property
    def ended(self) -> int:
        """How many items have ended."""
        return sum(count for state, count in self.counts.items() if state.is_final)

    @property
    def has_ended(self) -> bool:
        """True when every item has ended."""
        return self.is_whole and self.ended == self.items

    @property
    def path(self) -> str:
        """The way through the engine that the items take."""
        return path_of(self.items, self.converted)

    @property
    def failed(self) -> int:
        """How many items ended without audio."""
        return self.counts[JobState.FAILED] + self.counts[JobState.CANCELLED]

    @property
    def left_s(self) -> float:
        """Seconds of audio, expected, of the items that have not ended."""
        return sum(audio_s for state, audio_s in self.audio_s.items() if not state.is_final)

    @property
    def total_s(self) -> float:
        """Seconds of audio, expected, of all items."""
        return sum(self.audio_s.values())

    @classmethod
    def decode(cls, batch_id: str, fields: Mapping[str, str], states: Mapping[str, str]) -> Self:
        """Read the two hashes of a batch."""
        return cls(
            id=batch_id,
            name=fields["name"],
            client=fields["client"],
            created_s=float(fields["created_s"]),
            items=int(fields.get("items", 0)),
            is_whole="whole" in fields,
            schedule=Schedule.decode(fields),
            paused="paused" in fields,
            cancelled="cancelled" in fields,
            next=int(fields.get("next", 0)),
            written_s=float(fields.get("written_s", fields["created_s"])),
            converted=int(fields.get("converted", 0)),
            book=json.loads(fields.get("book", "{}")),
            becomes_book="becomes_book" in fields,
            counts={state: int(states.get(state, 0)) for state in JobState},
            audio_s={state: int(states.get(f"{state}_ms", 0)) / 1000 for state in JobState},
        )
