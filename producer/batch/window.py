"""A window of the day in which batch work may run, such as 22:00-07:00 in Berlin. Pure.

Its edges are times on the wall, so a night is an hour shorter in spring and longer in autumn.
A time that the clock skips counts as the moment of the jump, one that comes twice counts the
first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from ..errors import InvalidJob

_FORM: Final = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})")

#: A night that began so many days ago may still be open: it lasts a day at most, and a clock may
#: be put back by one more.
_DAYS_BACK: Final = 2


@dataclass(frozen=True, slots=True)
class Window:
    """Open from one time of the day to another, every day. The end is not part of it."""

    opens: time
    closes: time
    zone: ZoneInfo

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> Self:
        """Read `22:00-07:00`, or raise `InvalidJob`."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise InvalidJob("window", f"{text!r} is not of the form 22:00-07:00")
        hours = list(map(int, found.groups()))
        try:
            opens, closes = time(hours[0], hours[1]), time(hours[2], hours[3])
        except ValueError as error:
            raise InvalidJob("window", f"{text!r} names no time of the day: {error}") from error
        if opens == closes:
            raise InvalidJob("window", f"{text!r} never opens; without a window work always runs")
        return cls(opens, closes, zone)

    def nights(self, now_s: float) -> Iterator[tuple[float, float]]:
        """Yield when it opens and closes, in epoch seconds, from the first that is not over."""
        day = datetime.fromtimestamp(now_s, self.zone).date() - timedelta(days=_DAYS_BACK)
        over_midnight = timedelta(days=1 if self.closes < self.opens else 0)
        while True:
            opens_s = _moment(day, self.opens, self.zone)
            closes_s = _moment(day + over_midnight, self.closes, self.zone)
            if now_s < closes_s and opens_s < closes_s:
                yield opens_s, closes_s
            day += timedelta(days=1)


def _moment(day: date, at: time, zone: ZoneInfo) -> float:
    """Return when a clock on the wall shows this first, in epoch seconds."""
    wall = datetime.combine(day, at, zone)
    moment_s = wall.timestamp()
    if datetime.fromtimestamp(moment_s, zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return moment_s
    return _jump(int(wall.replace(fold=1).timestamp()), int(moment_s), zone)


def _jump(before_s: int, after_s: int, zone: ZoneInfo) -> float:
    """Return the second in between at which the clock jumps forward."""
    old = _offset(before_s, zone)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset(middle_s, zone) == old:
            before_s = middle_s
        else:
            after_s = middle_s
    return float(after_s)


def _offset(moment_s: float, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(moment_s, UTC).astimezone(zone).utcoffset()
