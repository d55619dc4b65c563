"""Scratch directories below `temp`: one for each attempt that needs files on the way."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

#: What was last changed so long ago has lost its owner: a killed worker tidies nothing up.
STALE_DAYS: Final = 7.0


@contextmanager
def scratch(temp: Path, attempt_id: str) -> Iterator[Path]:
    """Give an attempt a directory, which goes with all that is in it."""
    directory = temp / attempt_id
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def sweep(temp: Path, now_s: float) -> None:
    """Remove directories whose owners are dead; what cannot be removed is named in the log."""
    try:
        for directory in temp.iterdir():
            if directory.is_dir() and now_s - directory.stat().st_mtime > STALE_DAYS * 86400:
                shutil.rmtree(directory)
    except OSError as error:
        # Another worker may be sweeping too.
        logger.warning("%s cannot be swept: %s", temp, error)
