"""How workers are shown to a person: one row each, in words and round numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..overview import takes
from ..queues import SPEECH_QUEUES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..overview import Overview

COLUMNS: Final = (
    *("node", "state", "engine", "device", "rows", "waiting", "jobs"),
    *("speed", "vram", "temp", "restarts", "note"),
)

#: A worker that beats and does not answer: its event loop is busy, or stands still.
SILENT: Final = "silent"

_STYLES: Final = {
    "ready": "green",
    "broken": "red",
    "given-up": "red",
    SILENT: "red",
    "draining": "yellow",
}

Facts = Mapping[str, Any]
Row = Mapping[str, str]


def found_workers(answers: Mapping[str, Facts], overview: Overview) -> dict[str, Facts]:
    """Return all that is known of each worker, by node: what it answers, what it last said if it
    does not answer, and what becomes of it if it is not there."""
    found: dict[str, Facts] = {
        node: {"state": post["state"]} for node, post in overview.posts.items() if _is_news(post)
    }
    found |= {node: {**facts, "state": SILENT} for node, facts in overview.workers.items()}
    found |= answers
    restarts = {node: post.get("restarts", 0) for node, post in overview.posts.items()}
    return {
        node: {"worker_restarts": restarts.get(node), **facts, "node": node}
        for node, facts in sorted(found.items())
    }


def worker_row(facts: Facts) -> Row:
    """Return the cells of one worker; what is not known is empty."""
    gpu = facts.get("gpu") or {}
    if not takes(facts, SPEECH_QUEUES):
        # The engine of a worker for books alone has nothing to do.
        facts = {**facts, "engine": "books", "slots": None, "waiting": None}
    slots, speed = facts.get("slots"), facts.get("real_time_factor")
    heat, restarts = gpu.get("temperature_c"), facts.get("worker_restarts")
    return {
        "node": str(facts["node"]),
        "state": str(facts.get("state", "")),
        "engine": str(facts.get("engine") or ""),
        "device": str(gpu.get("name") or facts.get("device") or ""),
        "rows": f"{facts.get('active', 0)}/{slots}" if slots else "",
        "waiting": _number(facts.get("waiting")),
        "jobs": _number(facts.get("held")),
        "speed": f"{speed:.1f}x" if speed else "",
        "vram": _memory(gpu),
        "temp": f"{heat}°C" if heat is not None else "",
        "restarts": _number(restarts),
        "note": _note(facts, gpu),
    }


def backlog_line(overview: Overview) -> str:
    """Return what waits and runs, in one line."""
    backlog = overview.backlog
    waits = f"{backlog.waiting_jobs:,} jobs wait"
    if backlog.waiting_jobs:
        waits += (
            f", {backlog.waiting_s:,.0f} s of audio, the oldest for {backlog.oldest_age_s:.0f} s"
        )
    return f"{waits}; {backlog.running:,} run"


def rich_table(rows: list[Row], caption: str) -> RenderableType:
    """Return the rows for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, caption=caption, caption_justify="left", pad_edge=False)
    shown = [name for name in COLUMNS if any(row[name] for row in rows)]
    for name in shown:
        table.add_column(name.upper(), overflow="fold" if name == "note" else "ellipsis")
    for row in rows:
        style = _STYLES.get(row["state"], "")
        cells = [Text(row[name], style=style if name == "state" else "") for name in shown]
        table.add_row(*cells)
    return table


def _is_news(post: Facts) -> bool:
    """A free post is nothing to see."""
    return bool(post.get("state")) and post["state"] != "free"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _memory(gpu: Facts) -> str:
    if gpu.get("used_bytes") is None:
        return ""
    return f"{gpu['used_bytes'] / 2**30:.1f}/{gpu['memory_bytes'] / 2**30:.1f}GiB"


def _note(facts: Facts, gpu: Facts) -> str:
    slowed = f"slowed: {', '.join(gpu['throttling'])}" if gpu.get("throttling") else ""
    lines = str(facts.get("detail") or "").splitlines()[:1]
    return "; ".join(filter(None, [facts.get("ailment") or "", slowed, *lines]))
