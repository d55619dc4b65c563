"""The documents say what is: every setting, every exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.config import WorkerSettings

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", WorkerSettings.model_fields)
def test_every_setting_stands_in_the_table_with_its_description(name):
    page = (CHECKOUT / "docs" / "settings.md").read_text()

    assert f"`VOICEFARM_{name.upper()}`" in page
    assert WorkerSettings.model_fields[name].description in page
