"""The farm's directories, shared by workers and by clients that can see the volume."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from .content_key import is_key
from .errors import VolumeUnavailable

#: `uploads`: audio to convert. `processed`: results, written by the store alone. `temp`:
#: scratch. `logs`: one file a process. `models`: checkpoints and voices.
DIRECTORIES: Final = ("uploads", "processed", "temp", "logs", "models")

#: Below `processed`: the takes of jobs of several chunks, for whoever asks for one again.
TAKES: Final = ".takes"

#: Below `processed`: batches that have ended.
BATCHES: Final = ".batches"

_BATCH_ID: Final = re.compile(r"[0-9a-f]{24}")


class Volumes:
    """Paths below one home directory. No string of a user ever becomes a path here."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uploads = home / "uploads"
        self.processed = home / "processed"
        self.temp = home / "temp"
        self.logs = home / "logs"
        self.models = home / "models"

    def make(self) -> None:
        """Make every directory that is missing, or raise `VolumeUnavailable`."""
        for name in DIRECTORIES:
            try:
                (self.home / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise VolumeUnavailable(str(self.home / name), error.strerror or "") from error

    def entry(self, key: str) -> Path:
        """Return the directory of one content key below `processed`."""
        if not is_key(key):
            raise ValueError(f"{key!r} is no content key")
        return self.processed / key[:2] / key

    def take(self, key: str) -> Path:
        """Return the file of one take below `processed`, beside the entries."""
        if not is_key(key):
            raise ValueError(f"{key!r} is no content key")
        return self.processed / TAKES / key[:2] / key

    def batch(self, batch_id: str) -> Path:
        """Return the directory of one batch below `processed`, beside the entries."""
        if not _BATCH_ID.fullmatch(batch_id):
            raise ValueError(f"{batch_id!r} is no id of a batch")
        return self.processed / BATCHES / batch_id

    def upload(self, key: str) -> Path:
        """Return the file below `uploads` whose content has this sha256."""
        if not is_key(key):
            raise ValueError(f"{key!r} is no sha256 of a file")
        return self.uploads / key[:2] / key

    def locate(self, relative: str) -> Path:
        """Return the file that the ledger names, relative to home and always below it."""
        parts = PurePosixPath(relative).parts
        if not parts or parts[0] not in DIRECTORIES or ".." in parts:
            raise VolumeUnavailable(relative, "is no path of the farm")
        return self.home.joinpath(*parts)
