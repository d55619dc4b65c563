"""The supervisor: who dies is started again, who hangs is replaced, and the backlog is followed."""

from __future__ import annotations

import pytest
from garrison import Garrison

from producer.decisions import Action
from worker.boot import EXIT_BROKEN
from worker.errors import WorkersFail
from worker.posts import PostState
from worker.supervisor import READY_LIMIT_S


@pytest.fixture
def lone(tmp_path) -> Garrison:
    """One worker on the processor, ready."""
    garrison = Garrison(tmp_path)
    garrison.pass_time()
    garrison.load()
    return garrison


@pytest.fixture
def pair(tmp_path) -> Garrison:
    """Two GPUs with room for two workers each, scaled from none."""
    return Garrison(tmp_path, gpus=2, per_gpu=2, least=0)


def test_every_post_of_a_fixed_farm_is_manned_at_once(tmp_path):
    garrison = Garrison(tmp_path, gpus=2, per_gpu=2)
    garrison.pass_time(1)

    assert garrison.started == ["gpu0@host", "gpu1@host", "gpu0-2@host", "gpu1-2@host"]
    assert not garrison.supervisor.is_ready
    garrison.load()
    assert garrison.supervisor.is_ready


def test_a_name_that_another_farm_of_this_machine_has_is_not_taken_twice(tmp_path):
    first = Garrison(tmp_path, gpus=1)
    second = Garrison(tmp_path, gpus=1)

    assert first.posts[0].name == "gpu0@host"
    assert second.posts[0].name == "gpu0-2@host"


def test_what_a_dead_worker_held_is_given_back_before_another_is_started(lone):
    lone.pass_time(100)
    order: list[str] = []
    bury, start = lone.view.bury, lone.supervisor._start
    lone.view.bury = lambda node: order.append("bury") or bury(node)
    lone.supervisor._start = lambda post: order.append("start") or start(post)

    lone.posts[0].child.die()
    lone.pass_time(2)

    assert order == ["bury", "start"]
    [decision] = lone.actions(Action.RESTART)
    assert decision.reason == "cpu0@host ended with -9"
    assert decision.node == "cpu0@host"


def test_nobody_is_started_under_a_name_whose_messages_wait_for_the_broker(lone):
    lone.view.away = True
    lone.posts[0].child.die()
    lone.pass_time(60)
    without_broker = len(lone.started)
    lone.view.away = False
    lone.pass_time(2)

    assert without_broker == 1
    assert len(lone.started) == 2
    assert lone.view.buried == ["cpu0@host"]
    assert sum("does not answer" in line for line in lone.lines) == 1
    assert sum("answers again" in line for line in lone.lines) == 1
    assert lone.actions(Action.RESTART), "what was decided meanwhile is kept afterwards"


def test_who_dies_again_and_again_is_started_more_and_more_slowly(lone):
    for _ in range(60):
        if lone.posts[0].child is not None:
            lone.load()
            lone.posts[0].child.die()
        lone.pass_time(1)

    # After 0, 1, 2, 4, 8, 16 and 30 s, and the ticks between.
    assert 5 <= len(lone.started) <= 9


def test_a_farm_whose_only_worker_cannot_load_fails_with_the_end_of_its_log(tmp_path):
    garrison = Garrison(tmp_path)
    garrison.pass_time()
    garrison.posts[0].child.die(EXIT_BROKEN)

    with pytest.raises(WorkersFail, match=r"(?s)ended with 70.*the last line"):
        garrison.pass_time()


def test_a_farm_lives_on_with_the_workers_that_can_load(tmp_path):
    garrison = Garrison(tmp_path, gpus=2)
    garrison.pass_time()
    garrison.posts[0].child.die(EXIT_BROKEN)
    garrison.pass_time(100)

    assert garrison.posts[0].state is PostState.GIVEN_UP
    assert garrison.posts[1].child.alive
    assert garrison.started.count("gpu0@host") == 1


def test_a_worker_that_hangs_is_killed_once_and_replaced(lone):
    child = lone.posts[0].child
    lone.vitals.ailments[child.pid] = "the event loop has stood still for 31 s"

    lone.pass_time(3)

    assert child.signals == ["KILL"]
    [decision] = lone.actions(Action.REPLACE)
    assert "stood still" in decision.reason
    assert lone.posts[0].child.pid != child.pid
    assert child.pid not in lone.vitals.admitted


def test_a_worker_that_is_never_ready_is_replaced(tmp_path):
    garrison = Garrison(tmp_path)
    garrison.pass_time()
    child = garrison.posts[0].child
    garrison.pass_time(READY_LIMIT_S + 2, step_s=10)

    assert child.signals == ["KILL"]
    assert "not ready within" in garrison.actions(Action.REPLACE)[0].reason


def test_a_heartbeat_of_an_earlier_life_says_nothing_of_this_one(lone):
    stale = dict(lone.view.beats["cpu0@host"])
    lone.posts[0].child.die()
    lone.pass_time(2)
    lone.view.beats["cpu0@host"] = stale
    lone.pass_time(2)

    assert lone.posts[0].state is PostState.STARTING


def test_a_scaled_farm_without_work_starts_nobody_and_is_ready(pair):
    pair.pass_time(30)

    assert pair.started == []
    assert pair.supervisor.is_ready
    assert pair.view.told["running"] == 0


def test_the_backlog_mans_distinct_gpus_first_one_load_after_the_other(pair):
    pair.view.wait(100, 5000.0)
    pair.pass_time(10)
    first = list(pair.started)
    for _ in range(4):
        pair.load(active=8, real_time_factor=10.0)
        pair.pass_time(5)

    assert first == ["gpu0@host"]
    assert pair.started == ["gpu0@host", "gpu1@host", "gpu0-2@host", "gpu1-2@host"]
    reasons = [decision.reason for decision in pair.actions(Action.START)]
    assert "5000 s of audio wait" in reasons[0]
    assert "10.0 times real time" in reasons[1]
    assert any("start gpu0@host: 5000 s of audio wait" in line for line in pair.lines)


def test_idle_workers_are_drained_after_minutes_and_not_killed(pair):
    pair.view.wait(100, 5000.0)
    for _ in range(4):
        pair.pass_time(3)
        pair.load(active=8, real_time_factor=100.0)
    children = [post.child for post in pair.posts if post.child is not None]
    pair.view.wait(0, 0.0)
    pair.load(active=0)
    pair.pass_time(290)
    before = [child.signals for child in children if child.signals]
    pair.pass_time(20)

    assert children and before == []
    assert all(child.signals == ["TERM"] for child in children)
    assert len(pair.actions(Action.DRAIN)) == len(children)
    for child in children:
        child.die(0)
    pair.pass_time(2)
    assert {post.state for post in pair.posts} == {PostState.FREE}
    assert not pair.actions(Action.RESTART)


def test_a_worker_that_does_not_drain_is_killed_in_the_end(pair):
    pair.view.wait(1, 1.0)
    pair.pass_time(2)
    pair.load()
    child = pair.posts[0].child
    pair.view.wait(0, 0.0)
    pair.pass_time(500, step_s=2)

    assert child.signals == ["TERM", "KILL"]
    assert pair.posts[0].state is PostState.FREE


def test_of_two_workers_the_idle_one_is_drained(pair):
    pair.view.wait(100, 900.0)
    for _ in range(3):
        pair.pass_time(3)
        pair.load(active=8, real_time_factor=10.0)
    assert len(pair.started) == 2
    pair.view.wait(1, 1.0)
    pair.view.beats["gpu0@host"]["active"] = 0
    pair.view.beats["gpu1@host"]["active"] = 8
    pair.pass_time(310)

    assert pair.posts[0].state is PostState.DRAINING
    assert pair.posts[1].state is PostState.READY


def test_what_others_do_is_not_done_here_too(pair):
    pair.view.others["another/1"] = {"gpus": 2, "least": 0, "most": 2, "running": 1}
    pair.view.wait(1, 1.0)
    pair.pass_time(10)

    assert pair.started == []


def test_a_host_that_tells_nonsense_is_not_counted(pair):
    pair.view.others["another/1"] = {"gpus": "many"}
    pair.view.wait(1, 1.0)
    pair.pass_time(3)

    assert pair.started == ["gpu0@host"]


def test_waiting_for_a_load_is_noted_once(pair):
    pair.view.wait(100, 1e6, age_s=100)
    pair.pass_time(3)
    pair.load(active=8, real_time_factor=1.0)
    pair.pass_time(30)

    [held] = pair.actions(Action.HOLD)
    assert "loading" in held.reason


def test_a_stop_ends_every_worker_and_gives_back_what_is_left(lone):
    child = lone.posts[0].child

    lone.supervisor.stop(lambda: False)

    assert child.signals == ["TERM"]
    assert lone.view.buried == ["cpu0@host"]
