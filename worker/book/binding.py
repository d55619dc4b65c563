"""From an assembly's job to its entry: found, or made here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from producer.assemble_job import AssembleJob
from producer.batch.archive import Archive, completed
from producer.batch.ledger import BatchLedger, ItemRow
from producer.errors import BatchNotFound, InvalidJob

from ..errors import ItemsMissing, NoEncoder
from ..staged import Entry
from .gathering import Gathered, gather

if TYPE_CHECKING:
    from ..attempt import Attempt
    from ..station import Station


def bind(station: Station, attempt: Attempt, job: AssembleJob) -> Entry:
    """Return the book of a batch. Equal books of equal items are made once.

    Raises `ItemsMissing`, `NoEncoder`, `InvalidJob`, and what `Assembly` raises.
    """
    store = station.store
    gathered = _gathered(station, job)
    key, format = gathered.key(job), job.entry_format

    def has_no_sense() -> bool:
        return attempt.cancelled or store.find(key, format) is not None

    attempt.assemble()
    with station.claims.held(key, attempt.claimant, on_wait=lambda: None, until=has_no_sense):
        return store.find(key, format) or _made(station, attempt, job, gathered)


def _made(station: Station, attempt: Attempt, job: AssembleJob, gathered: Gathered) -> Entry:
    try:
        # ffmpeg is loaded where a book is made, and only there.
        from .assembly import Assembly
    except ImportError as error:
        raise NoEncoder(f"books need PyAV on the worker: {error}") from error
    key = gathered.key(job)
    assembly = Assembly(station.volumes, job, gathered, attempt.progress)
    with station.store.stage_files(key) as (directory, publish):
        manifest = assembly.write(directory, key)
        station.claims.confirm(key, attempt.claimant)
        return publish(manifest)


def _gathered(station: Station, job: AssembleJob) -> Gathered:
    """Return the items' files, all of them unless some may be missing."""
    gathered = gather(
        _items(station, job.batch), lambda file: station.volumes.locate(file).is_file()
    )
    if not gathered.parts or (gathered.missing and not job.allow_missing):
        raise ItemsMissing(gathered.missing_words)
    return gathered


def _items(station: Station, batch_id: str) -> Iterator[ItemRow]:
    """Yield the items of a batch; what the ledger has forgotten is told from the volume."""
    archive = Archive(station.volumes, batch_id)
    try:
        yield from completed(BatchLedger(station.broker.redis, keep_s=1).items(batch_id), archive)
    except BatchNotFound as error:
        if archive.row() is None:
            raise InvalidJob("batch", str(error)) from error
        yield from archive.items()
