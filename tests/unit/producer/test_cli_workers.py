"""`voicefarm workers`: who is there, how they are, and why there are so many."""

from __future__ import annotations

import json

from producer.cli.exit_codes import ExitCode
from producer.decisions import Action, Decision


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
