"""When will it be done? Work over the measured rate of the farm; unknown if that is. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .schedule import Schedule

#: A rate that its worker has not renewed for so long is that of a worker that is gone.
STALE_S: Final = 30.0

#: Ways through the engine that differ in speed, by whether the voice is converted behind it.
PLAIN: Final = "speech"
CONVERTED: Final = "speech+rvc"

#: Items that do not agree: nobody measures a mixture.
MIXED: Final = "mixed"


@dataclass(frozen=True, slots=True)
class Estimate:
    """An answer; None is unknown."""

    #: Seconds of audio that are still to be made.
    backlog_s: float
    #: Seconds of audio that the farm makes in a second.
    rate: float | None
    #: Epoch seconds at which it is done; None also if its schedule leaves no time for it.
    finish_s: float | None
    #: False if the schedule leaves too little time; None if unknown.
    in_time: bool | None


def estimate(schedule: Schedule, now_s: float, backlog_s: float, rate: float | None) -> Estimate:
    """Return when `backlog_s` of audio are made by a farm of this rate that works in `schedule`."""
    if backlog_s <= 0:
        return Estimate(0.0, rate, now_s, True)
    if not rate:
        return Estimate(backlog_s, None, None, None)
    finish_s = schedule.finish_s(now_s, backlog_s / rate)
    return Estimate(backlog_s, rate, finish_s, finish_s is not None)


def farm_rate(published: Mapping[str, str], path: str, now_s: float) -> float | None:
    """Return the sum of what the workers measured for a path, None if one does not know its own.

    `published` is what they wrote, by node name. A guess for one would be a guess for all.
    """
    rates = list(_rates(published.values(), path, now_s))
    if not rates or any(rate is None for rate in rates):
        return None
    return sum(rate for rate in rates if rate is not None)


def _rates(published: Iterable[str], path: str, now_s: float) -> Iterable[float | None]:
    for text in published:
        said: dict[str, Any] = json.loads(text)
        if now_s - said["at_s"] < STALE_S:
            yield said["rates"].get(path)


def path_of(items: int, converted: int) -> str:
    """Return the way that so many items take of which so many are converted."""
    if not converted:
        return PLAIN
    return CONVERTED if converted == items else MIXED
