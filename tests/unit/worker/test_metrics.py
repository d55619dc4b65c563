"""Metrics: what is known is told, what is not known is left out, and all of it is documented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scrape import FACTS, SIGHT, samples, told

ARCHITECTURE = Path(__file__).parents[3] / "docs/architecture.md"


def test_a_worker_tells_of_itself_and_of_the_farm():
    found = samples()

    assert found["voicefarm_batch_fill"] == 0.25
    assert found["voicefarm_audio_seconds_total"] == 12.5
    assert found["voicefarm_worker_state ready"] == 1
    assert found["voicefarm_worker_state loading"] == 0
    assert found["voicefarm_backlog_audio_seconds speech.batch"] == 900
    assert found["voicefarm_oldest_job_seconds"] == 33
    assert found["voicefarm_jobs failed"] == 4
    assert found["voicefarm_broker_up"] == 1


def test_a_worker_tells_of_its_gpu():
    found = samples()

    assert found["voicefarm_gpu_memory_used_bytes"] == 6e9
    assert found["voicefarm_gpu_temperature_celsius"] == 71
    assert found["voicefarm_gpu_throttled power_cap"] == 1
    assert found["voicefarm_gpu_throttled thermal_hardware"] == 1


def test_a_gpu_that_is_not_slowed_says_so_and_one_that_is_silent_is_left_out():
    gpu = FACTS["gpu"] | {"throttling": [], "temperature_c": None}

    found = samples(FACTS | {"gpu": gpu})

    assert found["voicefarm_gpu_throttled none"] == 0
    assert not any("temperature" in name for name in found)


def test_a_worker_without_a_gpu_tells_of_none():
    assert not any("gpu" in name for name in samples(FACTS | {"gpu": None}))


def test_the_workers_of_the_farm_are_counted_and_their_restarts():
    found = samples()

    assert found["voicefarm_workers ready"] == 2
    assert found["voicefarm_workers broken"] == 1
    assert found["voicefarm_workers loading"] == 0
    assert found["voicefarm_places a/1"] == 2
    assert found["voicefarm_worker_restarts_total a/1"] == 6
    assert found["voicefarm_leases_lost_total"] == 1
    assert found["voicefarm_retakes_total"] == 3


def test_of_a_batch_it_is_told_what_is_left_and_when_it_is_done():
    found = samples()

    assert found[f"voicefarm_batch_left_audio_seconds {'b' * 24}"] == 500
    # With the 100 s that others wait for, at ten times real time.
    assert found[f"voicefarm_batch_finish_seconds {'b' * 24}"] == 60


def test_when_a_batch_is_done_is_left_out_while_nobody_has_measured():
    unmeasured = replace(SIGHT.outlook, rates={})

    found = samples(sight=SIGHT._replace(outlook=unmeasured))

    assert found[f"voicefarm_batch_left_audio_seconds {'b' * 24}"] == 500
    assert not any("batch_finish" in name for name in found)


def test_without_a_broker_the_worker_still_tells_of_itself():
    found = samples(sight=None)

    assert found["voicefarm_broker_up"] == 0
    assert found["voicefarm_takes_total"] == 7
    assert not any("backlog" in name for name in found)


def test_an_engine_that_loads_has_no_slots_to_tell_of():
    found = samples(facts={"state": "loading", "slots": None, "active": 0})

    assert "voicefarm_batch_fill" not in found
    assert "voicefarm_slots" not in found


@pytest.mark.parametrize("name", sorted(told()))
def test_every_metric_is_documented(name):
    assert f"`{name}`" in ARCHITECTURE.read_text()
