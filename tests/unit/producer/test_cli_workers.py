"""`voicefarm workers`: who is there, how they are, and why there are so many."""

from __future__ import annotations

import io
import json
import re

from rich.console import Console

from producer.backlog import Backlog
from producer.cli.exit_codes import ExitCode
from producer.cli.output import Output
from producer.cli.worker_rows import rich_table, worker_row
from producer.decisions import Action, Decision
from producer.overview import Overview
from producer.queues import Priority


def decided(action: Action, reason: str, at_s: float = 1_700_000_000.0) -> Decision:
    return Decision(at_s, "host/1", action, "gpu0@host", 1, reason)


def test_why_tells_the_decisions_the_newest_last(stage):
    stage.farm.decided = [
        decided(Action.DRAIN, "nothing waits", 1_700_000_300.0),
        decided(Action.START, "9 s of audio wait"),
    ]

    code = stage.run("workers", "--why")

    _, first, second = stage.out.splitlines()
    assert code == ExitCode.GOOD
    assert "start" in first and "9 s of audio wait" in first
    assert "drain" in second and "gpu0@host" in second


def test_why_with_json_is_a_decision_a_line(stage):
    stage.farm.decided = [decided(Action.RESTART, "it ended with -9")]

    stage.run("workers", "--why", "--json")

    told = json.loads(stage.out)
    assert told["action"] == "restart"
    assert told["reason"] == "it ended with -9"
    assert told["at_s"] == 1_700_000_000.0


def test_a_farm_that_has_decided_nothing_says_so(stage):
    assert stage.run("workers", "--why") == ExitCode.GOOD
    assert (stage.out, "nothing was decided" in stage.err) == ("", True)


def test_what_another_version_has_decided_is_passed_over():
    good = decided(Action.START, "a job waits")

    assert Decision.decode(good.encode()) == good
    assert Decision.decode('{"at_s": 1}') is None
    assert Decision.decode("[") is None


GPU = {
    "index": 0,
    "uuid": "GPU-a",
    "name": "Card 24",
    "memory_bytes": 24 * 2**30,
    "used_bytes": 6 * 2**30,
    "temperature_c": 84,
    "throttling": ["thermal_hardware"],
}
BUSY = {
    "state": "ready", "engine": "xtts", "device": "cuda", "slots": 8, "active": 5, "waiting": 2,
    "held": 7, "real_time_factor": 41.27, "detail": "", "ailment": "", "gpu": GPU,
}  # fmt: skip


def test_a_worker_is_shown_with_its_batch_its_speed_and_its_gpu(stage):
    stage.farm.workers_there = {"gpu0@host": BUSY}
    stage.farm.seen = Overview(
        hosts={"host/1": {"posts": {"gpu0@host": {"state": "ready", "restarts": 3}}}},
        backlog=Backlog(
            jobs={Priority.INTERACTIVE: 0, Priority.BATCH: 1200},
            audio_s={Priority.INTERACTIVE: 0.0, Priority.BATCH: 3600.0},
            running=7,
            oldest_age_s=12.0,
        ),
    )

    assert stage.run("workers") == ExitCode.GOOD

    row = stage.out.splitlines()[1]
    for cell in ("5/8", "41.3x", "Card 24", "6.0/24.0GiB", "84°C", "slowed: thermal_hardware"):
        assert cell in row
    assert re.search(r"84°C\s+3\s", row), "its restarts"
    assert "1,200 jobs wait, 3,600 s of audio, the oldest for 12 s; 7 run" in stage.err


def test_a_worker_that_beats_and_does_not_answer_is_silent_and_no_answer_is_69(stage):
    stage.farm.seen = Overview(workers={"gpu0@host": BUSY | {"ailment": "the loop stands still"}})

    assert stage.run("workers") == ExitCode.NO_WORKER
    assert re.search(r"gpu0@host\s+silent .*the loop stands still", stage.out)


def test_a_worker_for_books_alone_is_shown_as_such(stage):
    stage.farm.workers_there = {"celery@books": BUSY | {"queues": ["speech.assemble"], "gpu": None}}

    stage.run("workers")

    assert re.search(r"celery@books\s+ready\s+books\s", stage.out)
    assert "5/8" not in stage.out


def test_a_worker_is_called_by_the_name_that_it_answers_to(stage):
    """What it says before it has its name is the machine's."""
    stage.farm.workers_there = {"cpu0@host": BUSY | {"node": "host"}}

    stage.run("workers", "--json")

    assert json.loads(stage.out)["node"] == "cpu0@host"


def test_a_post_without_a_worker_is_shown_if_somebody_should_stand_there(stage):
    posts = {
        "gpu0@host": {"state": "given-up", "restarts": 2},
        "gpu1@host": {"state": "free", "restarts": 0},
    }
    stage.farm.seen = Overview(hosts={"host/1": {"posts": posts}})

    stage.run("workers")

    assert "given-up" in stage.out
    assert "gpu1" not in stage.out


def test_with_json_a_worker_is_told_with_all_its_facts(stage):
    stage.farm.workers_there = {"gpu0@host": BUSY}

    stage.run("workers", "--json")

    told = json.loads(stage.out)
    assert told["gpu"] == GPU
    assert (told["node"], told["worker_restarts"]) == ("gpu0@host", None)


def test_watch_looks_again_until_ctrl_c(stage, monkeypatch):
    stage.farm.workers_there = {"gpu0@host": BUSY}
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        stage.farm.workers_there = {"gpu1@host": BUSY}
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("producer.cli.farm.time.sleep", sleep)

    assert stage.run("workers", "--watch", "--json") == ExitCode.INTERRUPTED
    assert [json.loads(line)["node"] for line in stage.out.splitlines()] == [
        "gpu0@host",
        "gpu1@host",
    ]


def test_on_a_terminal_the_rows_stand_in_a_table_with_the_columns_that_say_something():
    console = Console(width=120, record=True, file=io.StringIO())
    rows = [worker_row({"node": "gpu0@host", **BUSY}), worker_row({"node": "cpu0@host"})]

    console.print(rich_table(rows, "3 jobs wait"))

    text = console.export_text()
    assert "gpu0@host" in text and "41.3x" in text and "3 jobs wait" in text
    assert "RESTARTS" not in text


def test_only_a_terminal_has_a_foot_and_what_is_told_stands_above_it(monkeypatch):
    output = Output()
    with output.foot(wanted=True) as draw:
        assert draw is None  # pytest's stderr is no terminal
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    with output.foot(wanted=True) as draw:
        draw("the table")
        output.note("a worker is ready")

    shown = terminal.getvalue()
    assert "the table" in shown
    assert "voicefarm: a worker is ready" in shown
    with output.foot(wanted=False) as draw:
        assert draw is None


class Terminal(io.StringIO):
    """A stderr that is one."""

    def isatty(self) -> bool:
        return True
