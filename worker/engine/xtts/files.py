"""The files of an XTTS-v2 checkpoint, by their published names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CONFIG_FILE: Final = "config.json"
MODEL_FILE: Final = "model.pth"
VOCABULARY_FILE: Final = "vocab.json"
SPEAKERS_FILE: Final = "speakers_xtts.pth"

#: What the engine cannot do without. A checkpoint without `SPEAKERS_FILE` has no voices yet.
NEEDED_FILES: Final = (CONFIG_FILE, MODEL_FILE, VOCABULARY_FILE)

#: All that is published, the large one last: what is wrong with the others is known sooner.
PUBLISHED_FILES: Final = (CONFIG_FILE, VOCABULARY_FILE, SPEAKERS_FILE, MODEL_FILE)


def missing_files(directory: Path) -> tuple[str, ...]:
    """Return the names of the needed files that are not in `directory`."""
    return tuple(name for name in NEEDED_FILES if not (directory / name).is_file())
