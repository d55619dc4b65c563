"""What a batch's source says of the book that it is: title, author and cover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..assemble_job import MAX_TITLE_CHARS, AssembleJob
from ..errors import InvalidJob, VolumeUnavailable
from ..job import assemble_job
from ..uploads import put_bytes
from ..volumes import Volumes
from .batch_row import BatchRow
from .record import Source

#: How pictures begin that players show: JPEG and PNG.
PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def words_of(source: Source, volumes: Volumes) -> dict[str, str]:
    """Return what a source says, as far as it says anything; its cover is on the volume then.

    A client that does not see the volume leaves the cover out.
    """
    said = {"title": source.title, "author": source.author}
    said = {name: text[:MAX_TITLE_CHARS] for name, text in said.items() if text}
    picture = source.cover()
    if picture.startswith(PICTURES):
        try:
            said["cover"] = put_bytes(volumes, picture)
        except VolumeUnavailable:
            return said
    return said


def cover_of(content: bytes, volumes: Volumes) -> str:
    """Bring a picture onto the volume and return its key, or raise `InvalidJob`."""
    if not content.startswith(PICTURES):
        raise InvalidJob("cover", "is neither a JPEG nor a PNG")
    return put_bytes(volumes, content)


def book_job(
    batch_id: str, name: str, said: Mapping[str, str], fields: Mapping[str, Any]
) -> AssembleJob:
    """Return the job that makes a batch's book; `fields` win over what its source has `said`.

    Raises `InvalidJob`.
    """
    return assemble_job(batch_id, **{"title": name, **said, **fields})


def book_job_of(row: BatchRow, volumes: Volumes, fields: Mapping[str, Any]) -> AssembleJob:
    """Return the same for a batch that is there; a cover that has gone meanwhile is left out."""
    said = dict(row.book)
    if volumes.uploads.is_dir() and "cover" in said and not volumes.upload(said["cover"]).is_file():
        del said["cover"]
    return book_job(row.id, row.name, said, fields)
