"""A batch on the volume: written once all has ended, read when the ledger has forgotten it.

processed/.batches/<id>/batch.json      who asked for it, its account, hashes of the other two
                        results.jsonl   one line an item, as `voicefarm results` has it; its
                                        paths are relative to the farm's home
                        ledger.jsonl    the rows as the ledger had them
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import VolumeUnavailable
from ..volumes import Volumes
from .account import job_id_of
from .batch_row import BatchRow
from .ledger import ItemRow, item_row

SUMMARY: Final = "batch.json"
RESULTS: Final = "results.jsonl"
ROWS: Final = "ledger.jsonl"

#: Raised when a field changes its meaning.
ARCHIVE_VERSION: Final = 1


class Archive:
    """One batch as it was written; nothing if it never was, or cannot be seen from here."""

    def __init__(self, volumes: Volumes, batch_id: str) -> None:
        self._volumes = volumes
        self._id = batch_id

    def row(self) -> BatchRow | None:
        """Return what was known of the batch at its end; `VolumeUnavailable` if it is broken."""
        said = self._summary()
        return None if said is None else BatchRow.decode(self._id, said["fields"], said["states"])

    def items(self) -> Iterator[ItemRow]:
        """Yield every item in the order of the input; `VolumeUnavailable` if they are not whole."""
        said = self._summary()
        if said is None:
            return
        file = self._volumes.batch(self._id) / ROWS
        if _sha256(file) != said["sha256"][ROWS]:
            raise VolumeUnavailable(str(file), "is not what was written")
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                yield item_row(number, job_id_of(self._id, number), json.loads(line))

    def _summary(self) -> dict[str, Any] | None:
        try:
            file = self._volumes.batch(self._id) / SUMMARY
            content = file.read_bytes()
        except (ValueError, OSError):  # it is no id of a batch, or nothing is there
            return None
        try:
            said: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise VolumeUnavailable(str(file), "is no JSON") from error
        if said.get("archive_version") != ARCHIVE_VERSION:
            raise VolumeUnavailable(str(file), "is of another version of voicefarm")
        return said


def completed(items: Iterator[ItemRow], archive: Archive) -> Iterator[ItemRow]:
    """Yield items, those that the ledger has forgotten as the archive has them."""
    archived = archive.items()
    for item in items:
        if item.job is None:
            yield next((one for one in archived if one.number == item.number), item)
        else:
            yield item


def summary(fields: Mapping[str, str], states: Mapping[str, str], hashes: Mapping[str, str]) -> str:
    """Return the text of `batch.json`: a batch's two hashes, and the SHA-256 of its files."""
    said = {
        "archive_version": ARCHIVE_VERSION,
        "fields": dict(fields),
        "states": dict(states),
        "sha256": dict(hashes),
    }
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise VolumeUnavailable(str(file), error.strerror or str(error)) from error
