"""Rows of the table in `docs/reliability.md`, collected where `FAULTS_REPORT` says."""

from __future__ import annotations

import os
from pathlib import Path

#: Where they are collected; None keeps none.
REPORT = Path(os.environ["FAULTS_REPORT"]) if "FAULTS_REPORT" in os.environ else None


def file_row(fault: str, *, tried: int, lost: int, twice: int, rerun: int, seconds: float) -> None:
    """Add a row: fault, jobs tried, lost, files twice, jobs computed more than once, seconds."""
    if REPORT is not None:
        with REPORT.open("a") as rows:
            rows.write(f"| {fault} | {tried} | {lost} | {twice} | {rerun} | {seconds:.1f} |\n")
