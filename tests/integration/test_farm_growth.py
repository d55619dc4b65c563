"""Scaling with real workers: none, then one a GPU while work waits, then none, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producer import JobState, VoiceFarm
from producer.embedded import EmbeddedBroker
from tests.conftest import eventually
from tests.integration.up_process import LIMIT_S, processes_of

pytestmark = pytest.mark.service


@pytest.fixture
def two_gpus(tmp_path) -> Path:
    """A file that describes two GPUs."""
    file = tmp_path / "gpus.json"
    one = {"name": "Fake 24", "memory_gib": 24, "capability": "8.6"}
    file.write_text(json.dumps([one, one]))
    return file


def workers_of(home: Path) -> set[str]:
    """The workers that run for this home, by the name of their post."""
    commands = processes_of(home).values()
    return {
        command.split(" worker -n ")[1].split("@")[0]
        for command in commands
        if " worker -n " in command
    }


def test_a_farm_grows_from_nothing_over_both_gpus_and_shrinks_to_nothing(start_up, home, two_gpus):
    up = start_up(
        "--gpus=all", "--min=0",
        VOICEFARM_FAKE_GPUS=str(two_gpus), VOICEFARM_SLOTS="2", VOICEFARM_INTERACTIVE_SHARE="0",
        VOICEFARM_FAKE_SPEED="0.5", VOICEFARM_SCALE_AGE_S="1", VOICEFARM_SCALE_IDLE_S="4",
    ).ready()  # fmt: skip
    assert workers_of(home) == set()

    with VoiceFarm(EmbeddedBroker.find_url(home), home=home) as farm:
        jobs = farm.submit_many(f"this is line number {n} of a book" for n in range(24))
        eventually(lambda: workers_of(home) == {"gpu0", "gpu1"}, 2 * LIMIT_S)
        assert [job.wait(3 * LIMIT_S) for job in jobs] == [JobState.DONE] * 24
        nodes = {job.row().node.partition("@")[0] for job in jobs}
        eventually(lambda: workers_of(home) == set(), 2 * LIMIT_S)

    assert nodes == {"gpu0", "gpu1"}
    why = [json.loads(line) for line in up.run("workers", "--why", "--json").stdout.splitlines()]
    steps = [(told["action"], told["node"].partition("@")[0]) for told in why]
    assert [step for step in steps if step[0] == "start"] == [("start", "gpu0"), ("start", "gpu1")]
    assert {step for step in steps if step[0] == "drain"} == {("drain", "gpu0"), ("drain", "gpu1")}
    assert not {action for action, _ in steps} & {"restart", "replace", "give-up"}
    assert all(told["reason"] for told in why)


def test_a_farm_without_workers_wakes_for_a_batch_that_only_workers_can_feed(start_up, home):
    up = start_up(
        "--gpus=cpu", "--min=0", VOICEFARM_SCALE_IDLE_S="3", VOICEFARM_FAKE_SPEED="50"
    ).ready()
    with VoiceFarm(EmbeddedBroker.find_url(home), home=home) as farm:
        batch = farm.batch([f"line number {n} of the book" for n in range(5)])

        eventually(lambda: batch.row().has_ended, 2 * LIMIT_S)
        eventually(lambda: workers_of(home) == set(), 2 * LIMIT_S)

        assert batch.row().failed == 0
    assert "start cpu0@" in up.told
