"""The panel: every post with its worker, drawn no more often than anybody can read."""

from __future__ import annotations

import io

import pytest
from garrison import Garrison
from rich.console import Console

from producer.backlog import Backlog
from producer.queues import Priority
from worker.panel import DRAW_S, Panel, post_facts


@pytest.fixture
def garrison(tmp_path) -> Garrison:
    """One worker that is ready, one post that is free."""
    garrison = Garrison(tmp_path, gpus=2, least=0)
    garrison.view.wait(3, 40.0)
    garrison.pass_time(2)
    garrison.load(active=5, real_time_factor=12.0)
    return garrison


def text_of(shown) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(shown)
    return console.export_text()


def test_every_post_is_shown_with_its_worker_and_what_waits(garrison):
    drawn = []
    waits = Backlog(
        jobs={Priority.INTERACTIVE: 0, Priority.BATCH: 3},
        audio_s={Priority.INTERACTIVE: 0.0, Priority.BATCH: 40.0},
    )

    Panel(drawn.append).show(garrison.posts, waits)

    text = text_of(drawn[0])
    assert "gpu0@host" in text and "ready" in text and "5/8" in text and "12.0x" in text
    assert "gpu1@host" in text and "free" in text
    assert "3 jobs wait, 40 s of audio" in text


def test_it_is_drawn_once_a_second_at_most(garrison):
    drawn, now_s = [], [100.0]
    panel = Panel(drawn.append, clock=lambda: now_s[0])

    for _ in range(5):
        panel.show(garrison.posts, None)
    now_s[0] += DRAW_S
    panel.show(garrison.posts, None)

    assert len(drawn) == 2


def test_a_worker_that_drains_is_shown_as_that_and_one_that_loads_as_it_says(garrison):
    garrison.view.wait(0, 0.0)
    garrison.load(active=0)
    garrison.pass_time(302)
    assert post_facts(garrison.posts[0])["state"] == "draining"

    garrison.view.wait(1, 1.0)
    garrison.pass_time(2)
    post = garrison.posts[1]
    assert post_facts(post)["state"] == "starting"
    garrison.view.beats[post.name] = {"pid": post.child.pid, "state": "loading"}
    garrison.pass_time(1)
    assert post_facts(post)["state"] == "loading"
