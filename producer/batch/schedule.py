"""When a batch may run: inside its window, not before a moment, not behind its deadline. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from ..errors import InvalidJob
from .window import Window

#: How many nights ahead an end is looked for: ten years.
NIGHTS: Final = 3_660


@dataclass(frozen=True, slots=True)
class Schedule:
    """Open hours of one batch, in epoch seconds. The default is always."""

    window: Window | None = None
    not_before_s: float = -math.inf
    deadline_s: float = math.inf

    def open_spans(self, now_s: float) -> Iterator[tuple[float, float]]:
        """Yield when work may run from now on: begin and end of each span, in order."""
        begin_s = max(now_s, self.not_before_s)
        if self.window is None:
            nights: Iterator[tuple[float, float]] = iter([(begin_s, math.inf)])
        else:
            nights = islice(self.window.nights(begin_s), NIGHTS)
        for opens_s, closes_s in nights:
            if opens_s >= self.deadline_s:
                return
            span = max(opens_s, begin_s), min(closes_s, self.deadline_s)
            if span[0] < span[1]:
                yield span

    def left_s(self, now_s: float) -> float:
        """Return for how many seconds from now work may run without a break; 0 is not now."""
        for opens_s, closes_s in self.open_spans(now_s):
            return closes_s - now_s if opens_s <= now_s else 0.0
        return 0.0

    def opens_s(self, now_s: float) -> float | None:
        """Return when work may run next, `now_s` if it may now; None if it never may again."""
        return next((begin_s for begin_s, _ in self.open_spans(now_s)), None)

    def finish_s(self, now_s: float, work_s: float) -> float | None:
        """Return when `work_s` seconds of work are done; None if there is not enough time."""
        left_s = work_s
        for begin_s, end_s in self.open_spans(now_s):
            if left_s <= end_s - begin_s:
                return begin_s + left_s
            left_s -= end_s - begin_s
        return None

    def check(self, now_s: float) -> None:
        """Raise `InvalidJob` if it never opens."""
        if self.deadline_s <= now_s:
            raise InvalidJob("deadline", "has passed already")
        if self.deadline_s <= self.not_before_s:
            raise InvalidJob("deadline", "comes before --not-before: the batch would never run")
        if self.opens_s(now_s) is None:
            raise InvalidJob("window", f"{self.window} never opens before the deadline")

    def encode(self) -> dict[str, Any]:
        """Return plain fields that `decode` reads back."""
        fields: dict[str, Any] = {}
        if self.window is not None:
            fields |= {"window": str(self.window), "tz": self.window.zone.key}
        if math.isfinite(self.not_before_s):
            fields["not_before_s"] = self.not_before_s
        if math.isfinite(self.deadline_s):
            fields["deadline_s"] = self.deadline_s
        return fields

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `encode` wrote, as text or as numbers."""
        window = None
        if fields.get("window"):
            window = Window.parse(str(fields["window"]), zone_of(str(fields["tz"])))
        return cls(
            window,
            float(fields.get("not_before_s") or -math.inf),
            float(fields.get("deadline_s") or math.inf),
        )


def zone_of(name: str | None) -> ZoneInfo:
    """Return a time zone, that of this machine without a name; `InvalidJob` if there is none."""
    if name is None:
        import tzlocal

        name = tzlocal.get_localzone_name()
        if name is None:
            raise InvalidJob("tz", "this machine has no named time zone; give one: Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidJob("tz", f"{name!r} is no time zone such as Europe/Berlin or UTC") from error


def moment_of(field: str, text: str, now_s: float, zone: ZoneInfo) -> float:
    """Read a moment: `07:00` is the next one, else ISO 8601 such as `2026-12-24T07:00`.

    Without an offset it is a time of the zone. Raises `InvalidJob` naming `field`.
    """
    now = datetime.fromtimestamp(now_s, zone)
    try:
        if len(text) <= len("07:00"):
            at = datetime.strptime(text, "%H:%M").time()
            today = datetime.combine(now.date(), at, zone)
            return (today if today > now else today + timedelta(days=1)).timestamp()
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        problem = f"{text!r} is neither a time (07:00) nor a moment (2026-12-24T07:00)"
        raise InvalidJob(field, problem) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
