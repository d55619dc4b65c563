"""Scratch directories: gone with their attempts, and swept up where an attempt has died."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from worker.scratch import STALE_DAYS, scratch, sweep


def test_a_directory_goes_with_its_attempt_whatever_happens(tmp_path):
    with pytest.raises(RuntimeError), scratch(tmp_path, "job.1") as directory:
        (directory / "take.f32").write_bytes(b"half")
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_worker_left_is_swept_and_what_is_in_use_is_not(tmp_path):
    now_s = time.time()

    def left(name: str, days: float) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "take.f32").touch()
        os.utime(directory, (now_s - days * 86400,) * 2)
        return directory

    dead, live = left("dead", STALE_DAYS + 1), left("live", STALE_DAYS - 1)

    sweep(tmp_path, now_s)

    assert not dead.exists()
    assert (live / "take.f32").exists()


def test_a_volume_that_is_not_there_is_no_error(tmp_path, caplog):
    sweep(tmp_path / "nothing", 0.0)

    assert "cannot be swept" in caplog.text
