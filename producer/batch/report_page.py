"""The morning report as one HTML page, which needs nothing else and runs nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from ..text import shorten
from .report import Report, spread_of

#: Rows of a table; the JSON has all.
SHOWN: Final = 200

_HEIGHT: Final = 80

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .25rem .75rem .25rem 0; vertical-align: top }}
svg {{ width: 100%; height: {height}px; background: #f3f3f3 }}
rect {{ fill: #3a6ea5 }}
.bad {{ color: #a00 }}
</style></head><body>
<h1>{title}</h1>
<p class="{mark}">{verdict}</p>
<table>{facts}</table>
<h2>The night</h2>
<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img"
 aria-label="items that ended, over time">{bars}</svg>
<p>{span}</p>
{failures}
{slowest}
</body></html>
"""


def page_of(told: Report) -> str:
    """Return the page."""
    bars = told.bars()
    highest = max(*bars, 1)
    drawn = "".join(
        f'<rect x="{place * 10}" y="{_HEIGHT - count / highest * _HEIGHT:.1f}" width="9" '
        f'height="{count / highest * _HEIGHT:.1f}"/>'
        for place, count in enumerate(bars)
        if count
    )
    facts = told.facts()
    span = ""
    if facts["first_s"] is not None:
        span = f"{_moment(facts['first_s'])} to {_moment(facts['last_s'])}"
    return _PAGE.format(
        title=escape(told.batch.name),
        mark="good" if told.adds_up else "bad",
        verdict=escape(verdict_of(told)),
        facts=_rows(rows_of(told)),
        bars=drawn,
        width=len(bars) * 10,
        height=_HEIGHT,
        span=span,
        failures=_failures(told),
        slowest=_table(
            "Slowest items",
            ("item", "seconds", "times real time"),
            [
                (name, f"{took_s:.1f}", "" if factor is None else f"{factor:,.1f}")
                for took_s, name, factor in told.slowest
            ],
        ),
    )


def verdict_of(told: Report) -> str:
    """Return in one sentence whether the sum is right."""
    parts = " + ".join(f"{count:,} {state}" for state, count in sorted(told.counts.items()))
    if told.adds_up:
        return f"{told.asked:,} asked = {parts or '0'}"
    return (
        f"{told.asked:,} asked, found {parts or 'none'} and {told.forgotten:,} forgotten: "
        "this does not add up, or changed while it was read"
    )


def rows_of(told: Report) -> list[tuple[str, str]]:
    """Return the numbers of a report, named."""
    speed = "unknown" if told.speed is None else f"{told.speed:,.1f} times real time"
    return [
        ("audio", f"{told.audio_s / 3600:,.2f} h, {told.size_bytes / 2**20:,.1f} MiB"),
        ("text", f"{told.chars:,} characters"),
        ("speed", f"{speed}, over {told.working_s:,.0f} s in which it ran"),
        ("each item", _spread_words(told.speeds, "times real time")),
        ("GPU time", _worker_words(told)),
        ("level", _level_words(told)),
        ("retakes", f"{told.retakes:,}, and {told.trimmed_s:,.1f} s of tails cut off"),
        ("reused", f"{told.reused:,} chunks that were there already"),
        *([("book", _book_words(told.book))] if told.book else []),
        ("begun again", f"{told.repeated:,} items; {told.losses:,} times a worker vanished"),
    ]


def _spread_words(values: Sequence[float], unit: str) -> str:
    spread = spread_of(values)
    if spread is None:
        return "unknown"
    least, median, greatest = spread["least"], spread["median"], spread["greatest"]
    return f"{least:,.1f} to {greatest:,.1f} {unit}, median {median:,.1f}"


def _book_words(book: Mapping[str, Any]) -> str:
    if book["duration_s"] is None:
        return ": ".join(filter(None, (book["state"], book["reason"], book["detail"])))
    words = [book["state"], f"{book['duration_s'] / 3600:,.2f} h"]
    if book["loudness_lufs"] is not None:
        words += [f"{book['loudness_lufs']:.1f} LUFS", f"true peak {book['true_peak_db']:.1f} dB"]
    return ", ".join([*words, *filter(None, [book["detail"]])])


def _worker_words(told: Report) -> str:
    count = len(set(told.nodes))
    return f"{told.worker_s:,.0f} s of {count:,} workers, shared with what else ran"


def _level_words(told: Report) -> str:
    if not told.levels_db:
        return "unknown"
    peak = f", peak {max(told.peaks_db):.1f} dB" if told.peaks_db else ""
    return _spread_words(told.levels_db, "dB of full scale") + peak


def _failures(told: Report) -> str:
    rows = [
        (
            str(entry["custom_id"] or "-"),
            str(entry["state"]),
            str(entry["reason"] or ""),
            str(entry["detail"] or ""),
            shorten(str(entry["text"] or ""), 300),
        )
        for entry in told.failures[:SHOWN]
    ]
    heading = "Failed, cancelled, suspicious"
    if len(told.failures) > SHOWN:
        heading += f" (the first {SHOWN} of {len(told.failures):,})"
    return _table(heading, ("item", "state", "reason", "detail", "text"), rows)


def _table(heading: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    return f"<h2>{escape(heading)}</h2><table><tr>{head}</tr>{_rows(rows)}</table>"


def _rows(rows: Sequence[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return "".join(f"<tr>{row}</tr>" for row in cells)


def _moment(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
