"""What is doubtful about a broker: would it lose or refuse what it is given? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

#: The only policy under which a full server refuses instead of forgetting.
KEEPS: Final = "noeviction"

#: Share of its memory from which on a server is nearly full.
NEARLY_FULL: Final = 0.9


def doubts(info: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person should mend, from the server's `INFO`, each with what to do."""
    policy = info.get("maxmemory_policy", KEEPS)
    if policy != KEEPS:
        yield (
            f"maxmemory-policy is {policy}: a full server would throw jobs away, or what is known "
            f"of them; set it to {KEEPS}"
        )
    if not info.get("aof_enabled", 1):
        yield "appendonly is off: a crash of the server would lose what is queued; set it to yes"
    limit_bytes, used_bytes = info.get("maxmemory", 0), info.get("used_memory", 0)
    if limit_bytes and used_bytes > NEARLY_FULL * limit_bytes:
        share = used_bytes / limit_bytes
        yield f"its memory is {share:.0%} full: new jobs are refused at 100%; raise maxmemory"
