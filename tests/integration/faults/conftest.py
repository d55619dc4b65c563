"""Fixtures of the fault suite: workers with a lease of ten seconds, and a journal of their work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evidence import LEASE_S, Journal

from tests.conftest import WorkerProcess
from tests.integration.fault_report import file_row


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def worker(
    start_worker: Callable[..., WorkerProcess], journal: Journal
) -> Callable[..., WorkerProcess]:
    """Start workers of eight rows, all for batches: `worker("one", fake_speed=2)`."""

    def start(name: str = "w", *arguments: str, **settings: Any) -> WorkerProcess:
        usual = {
            "lease_s": LEASE_S,
            "slots": 8,
            "interactive_share": 0,
            "fake_journal": journal.file,
        }
        return start_worker(name, *arguments, **{**usual, **settings})

    return start


@pytest.fixture
def report() -> Callable[..., None]:
    """Files a row of `docs/reliability.md`."""
    return file_row
