"""The panel of `up`: its posts in a table that stays at the foot of the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from producer.cli.worker_rows import backlog_line, rich_table, worker_row
from producer.overview import Overview

from .gpus import facts_of
from .posts import Post, PostState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from producer.backlog import Backlog

#: How often it is drawn.
DRAW_S: Final = 1.0


class Panel:
    """Draws at most once in `DRAW_S`."""

    def __init__(
        self, draw: Callable[[RenderableType], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draw = draw
        self._clock = clock
        self._due_s = 0.0

    def show(self, posts: Sequence[Post], backlog: Backlog | None) -> None:
        """Show the posts as they are, if it is time again."""
        now_s = self._clock()
        if now_s >= self._due_s:
            self._due_s = now_s + DRAW_S
            caption = "" if backlog is None else backlog_line(Overview(backlog=backlog))
            self._draw(rich_table([worker_row(post_facts(post)) for post in posts], caption))


def post_facts(post: Post) -> dict[str, Any]:
    """Return what is known of a post and of the worker that stands there."""
    facts = dict(post.facts)
    if post.gpu is not None:
        facts.setdefault("gpu", facts_of(post.gpu, None))
    said = facts.get("state")
    present = post.state in (PostState.STARTING, PostState.READY)
    state = said if present and said else post.state.value
    return facts | {"node": post.name, "state": state, "worker_restarts": post.restarts.count}
