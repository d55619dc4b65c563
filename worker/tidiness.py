"""What may go: the plans of housekeeping. Pure: no clock, no disk, no broker."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thing:
    """A file or a directory of the farm."""

    name: str
    size_bytes: int
    #: When it was last used or written, in seconds of its volume's clock.
    used_s: float


def over_budget(
    things: Iterable[Thing],
    budget_bytes: int,
    spare_s: float,
    now_s: float,
    needed: Collection[str] = (),
) -> list[Thing]:
    """Return what to remove so that the rest fits into the budget, the least recently used first.

    What is needed, or was used within `spare_s`, stays, also if the rest does not fit.
    """
    known = sorted(things, key=lambda thing: (thing.used_s, thing.name))
    excess_bytes = sum(thing.size_bytes for thing in known) - budget_bytes
    leaving = []
    for thing in known:
        if excess_bytes <= 0 or now_s - thing.used_s < spare_s:
            break
        if thing.name not in needed:
            leaving.append(thing)
            excess_bytes -= thing.size_bytes
    return leaving


def unused(
    things: Iterable[Thing], keep_s: float, now_s: float, needed: Collection[str] = ()
) -> list[Thing]:
    """Return what was not used for `keep_s` and is not needed."""
    return [thing for thing in things if now_s - thing.used_s > keep_s and thing.name not in needed]
