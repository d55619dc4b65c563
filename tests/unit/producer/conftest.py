"""Fixtures of the producer's unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.volumes import Volumes
from tests.unit.producer.cli_stage import FakeFarm, Stage


@pytest.fixture
def stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """Command lines before a farm made of memory."""
    volumes = Volumes(tmp_path / "home")
    volumes.make()
    return Stage(FakeFarm(volumes), capsys, monkeypatch)
