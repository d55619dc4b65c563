"""Which of the waiting recordings are converted next: those of few voices, and nobody starves.

A batch begins with the voice of the recording that has waited longest, and takes what else waits
for that voice. What room is left goes to other voices, first those that need not be loaded. So
recordings of one voice share its batch, and a recording is in the next batch at the latest when
all that came before it are gone. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar


class Waiting(Protocol):
    """A recording that waits."""

    @property
    def voice(self) -> Hashable:
        """Equal for recordings that can share a voice's batch."""

    @property
    def duration_s(self) -> float:
        """How long it is."""


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How much one batch is. A recording that is longer than that is a batch of its own."""

    #: Seconds of all recordings together.
    duration_s: float = 960.0
    #: Different voices.
    voices: int = 8


Item = TypeVar("Item", bound=Waiting)


def next_turn(
    waiting: Sequence[Item], limits: TurnLimits, here: Collection[Hashable] = frozenset()
) -> list[Item]:
    """Return the next batch of those that wait, which are in the order in which they came.

    Those of a voice follow one another, in that order. `here` are the voices that need not be
    loaded.
    """
    by_voice: dict[Hashable, list[Item]] = defaultdict(list)
    for item in waiting:
        by_voice[item.voice].append(item)
    # The first voice is that of the oldest; a stable sort leaves the others by age too.
    first, *others = by_voice or [None]
    order = [first, *sorted(others, key=lambda voice: voice not in here)]
    turn: list[Item] = []
    voices = 0
    room_s = limits.duration_s
    for voice in order:
        taken = 0
        for item in by_voice.get(voice, ()):
            # Nobody overtakes a recording of the same voice.
            if turn and item.duration_s > room_s:
                break
            turn.append(item)
            room_s -= item.duration_s
            taken += 1
        voices += taken > 0
        if voices == limits.voices:
            break
    return turn
