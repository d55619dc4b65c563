"""From settings to the spec of an engine: which one `auto` is, and what reaches it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.config import WorkerSettings
from worker.engine_choice import engine_spec, make_engine


@pytest.fixture
def xtts_files(home: Path) -> Path:
    """A directory that looks like a checkpoint."""
    directory = home / "models" / "xtts"
    directory.mkdir(parents=True)
    (directory / "model.pth").touch()
    return directory


def test_by_itself_a_worker_speaks_with_espeak(home):
    assert engine_spec(WorkerSettings(home=home)).name == "espeak"


def test_by_itself_a_worker_takes_xtts_where_its_files_are(home, xtts_files):
    spec = engine_spec(WorkerSettings(home=home))

    assert spec.name == "xtts"
    assert spec.options["directory"] == str(xtts_files)


def test_a_named_engine_is_taken_whatever_files_there_are(home, xtts_files):
    assert engine_spec(WorkerSettings(home=home, engine="espeak")).name == "espeak"
    assert engine_spec(WorkerSettings(home=home, engine="fake")).name == "fake"


def test_xtts_gets_its_settings_and_as_many_rows_as_the_scheduler_fills(home):
    settings = WorkerSettings(
        home=home, engine="xtts", device="cpu", precision="fp16", mode="latency", slots=12
    )

    spec = engine_spec(settings)

    assert spec.slots == 12
    assert spec.options == {
        "directory": str(home / "models" / "xtts"),
        "voices_directory": str(home / "models" / "voices"),
        "device": "cpu",
        "precision": "fp16",
        "mode": "latency",
        "guarded": True,
        "slots": 12,
    }


def test_the_process_of_an_engine_sees_the_gpu_of_its_worker_and_no_other(home, monkeypatch):
    given: list[dict[str, str]] = []
    monkeypatch.setattr(
        "worker.process.EngineProcess", lambda spec, *, env, **rest: given.append(env)
    )
    for gpu in ("GPU-a", ""):
        settings = WorkerSettings(home=home, engine="fake", engine_process="own", gpu=gpu)
        make_engine(settings, on_room=lambda: None, on_phase=lambda phase, detail: None)

    pinned, free = given
    assert pinned["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert free.get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")
