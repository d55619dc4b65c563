"""Writes a batch that has ended to the volume, where it outlives the ledger.

The dispatcher asks for it, and forgets no batch that has not been written. Both may happen twice,
if the dispatcher dies in between: then the later writing stands in the place of the first.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final

from celery.utils.log import get_logger

from producer.batch.account import job_id_of
from producer.batch.archive import RESULTS, ROWS, SUMMARY, summary
from producer.batch.handle import result_line
from producer.batch.ledger import BatchLedger, item_row
from producer.volumes import Volumes

from .durability import Durability
from .store import STAGING

logger = get_logger(__name__)

#: How long the dispatcher waits for a small batch; a large one it asks about again.
PATIENCE_S: Final = 0.5

#: After a failure, such as a full disk, until the next try.
RETRY_S: Final = 60.0


class BatchArchive:
    """The archives of a farm's batches. `has_filed` is called by one thread."""

    def __init__(self, batches: BatchLedger, volumes: Volumes, durability: Durability) -> None:
        self._batches = batches
        self._volumes = volumes
        self._durability = durability
        # The dispatcher has its lock to renew meanwhile: a large batch takes its time.
        self._thread = ThreadPoolExecutor(1, "archive")
        self._filing: dict[str, Future[None]] = {}
        self._again_s: dict[str, float] = {}

    def has_filed(self, batch_id: str) -> bool:
        """Begin to write a batch, or go on; True once it is on the volume."""
        if self._again_s.get(batch_id, 0.0) > time.monotonic():
            return False
        filing = self._filing.get(batch_id)
        if filing is None:
            filing = self._filing[batch_id] = self._thread.submit(self.write, batch_id)
        wait([filing], PATIENCE_S)
        if not filing.done():
            return False
        del self._filing[batch_id]
        if error := filing.exception():
            logger.warning("batch=%s cannot be written to the volume yet: %s", batch_id, error)
            self._again_s[batch_id] = time.monotonic() + RETRY_S
            return False
        self._again_s.pop(batch_id, None)
        return True

    def write(self, batch_id: str) -> None:
        """Write it, durable; raises what the disk and the redis client raise."""
        staging = self._volumes.processed / STAGING
        staged, aside = staging / uuid.uuid4().hex, staging / uuid.uuid4().hex
        target = self._volumes.batch(batch_id)
        target.parent.mkdir(exist_ok=True)
        staged.mkdir()
        try:
            self._fill(staged, batch_id)
            self._durability.flush(staged)
            # Of a batch that was written before, as its dispatcher died behind that.
            if target.exists():
                target.rename(aside)
            staged.rename(target)
            self._durability.flush(target)
        finally:
            for left in (staged, aside):
                shutil.rmtree(left, ignore_errors=True)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _fill(self, directory: Path, batch_id: str) -> None:
        fields, states = self._batches.raw(batch_id)
        rows = _Lines(directory / ROWS)
        results = _Lines(directory / RESULTS)
        with rows.file, results.file:
            for number, row in self._batches.raw_items(batch_id):
                rows.add(row)
                results.add(result_line(item_row(number, job_id_of(batch_id, number), row)))
        hashes = {ROWS: rows.sha256, RESULTS: results.sha256}
        (directory / SUMMARY).write_text(summary(fields, states, hashes), encoding="utf-8")


class _Lines:
    """A file of JSON lines that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self._digest = hashlib.sha256()

    def add(self, fields: dict[str, Any]) -> None:
        line = json.dumps(fields, ensure_ascii=False).encode() + b"\n"
        self._digest.update(line)
        self.file.write(line)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
