"""The arithmetic of the farm's figures. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

#: The part of the audio that the steady rate leaves out at both ends: the batch fills, and
#: at last it empties.
EDGE: Final = 0.1


class End(NamedTuple):
    """When something was done, on any clock [s], and how much audio it was [s]."""

    at_s: float
    audio_s: float


def steady_rate(ends: Sequence[End]) -> float:
    """Return seconds of audio a second between the first and the last tenth of the audio."""
    in_order = sorted(ends)
    total_s = sum(end.audio_s for end in in_order)
    made_s, window = 0.0, []
    for end in in_order:
        made_s += end.audio_s
        if EDGE * total_s <= made_s <= (1 - EDGE) * total_s:
            window.append(end)
    if len(window) < 2 or window[-1].at_s <= window[0].at_s:
        return 0.0
    return sum(end.audio_s for end in window[1:]) / (window[-1].at_s - window[0].at_s)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return `p50 p95 p99 max` of values; nothing of none."""
    if len(values) < 2:
        return dict.fromkeys(("p50", "p95", "p99", "max"), values[0]) if values else {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}


def of_passage(
    ends: Sequence[End], begun_s: float, latencies_s: Sequence[float] = ()
) -> dict[str, Any]:
    """Return the figures of one load: what was done from `begun_s` on."""
    audio_s = sum(end.audio_s for end in ends)
    took_s = max((end.at_s for end in ends), default=begun_s) - begun_s
    steady = steady_rate(ends)
    mean_s = audio_s / len(ends) if ends else 0.0
    return {
        "jobs": len(ends),
        "audio_s": round(audio_s, 1),
        "mean_audio_s": round(mean_s, 3),
        "took_s": round(took_s, 2),
        "x_whole": round(audio_s / took_s, 1) if took_s else 0.0,
        "x_steady": round(steady, 1),
        "jobs_per_s": round(steady / mean_s, 1) if mean_s else 0.0,
        "latency_s": {name: round(value, 3) for name, value in percentiles(latencies_s).items()},
    }


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as a Markdown table; what a row has not is left empty."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[_shown(row.get(column)) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
        case dict():
            return " / ".join(_shown(one) for one in value.values())
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case _:
            return str(value)
