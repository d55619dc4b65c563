"""Is every file of a batch there, whole, and what the ledger says? Each is read to its end."""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import VolumeUnavailable
from ..job_row import JobRow
from ..volumes import Volumes
from .ledger import ItemRow

#: Bytes that are held at a time.
PIECE_BYTES: Final = 2**20

#: The manifest that the store writes beside each file.
MANIFEST: Final = "job.json"


@dataclass(frozen=True, slots=True)
class Flaw:
    """A file that does not prove what the ledger says."""

    custom_id: str
    job_id: str
    path: str
    problem: str


@dataclass
class Proof:
    """What a look at all files has found so far."""

    files: int = 0
    bytes: int = 0
    flaws: int = 0
    #: Items without a file, as they failed or were cancelled.
    without: int = 0
    #: Items that have not ended.
    unended: int = 0


def prove(items: Iterable[ItemRow], volumes: Volumes, proof: Proof) -> Iterator[Flaw]:
    """Read each file again and yield what is wrong; `proof` counts on the way.

    An item that the ledger has forgotten is a flaw too: nothing can be said of it.
    """
    for item in items:
        row = item.job
        if row is not None and not row.state.is_final:
            proof.unended += 1
        elif row is not None and not row.state.has_output:
            proof.without += 1
        else:
            problem = "the ledger has forgotten it" if row is None else problem_of(row, volumes)
            proof.files += row is not None
            proof.bytes += row.size_bytes if row else 0
            if problem:
                proof.flaws += 1
                job_id, file = (row.id, row.file) if row else ("", "")
                yield Flaw(item.custom_id, job_id, file, problem)


def problem_of(row: JobRow, volumes: Volumes) -> str:
    """Return what is wrong with the file of a row; empty if nothing is."""
    try:
        path = volumes.locate(row.file)
        size_bytes, digest = content_of(path)
        manifest = json.loads((path.parent / MANIFEST).read_bytes())
    except VolumeUnavailable as error:
        return error.problem
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError:
        return f"{MANIFEST} is no JSON"
    if (size_bytes, digest) != (row.size_bytes, row.sha256):
        return f"its {size_bytes:,} bytes are not those of the ledger: another sha256"
    return _difference(row, manifest, path)


def _difference(row: JobRow, manifest: Any, path: Path) -> str:
    """Return where the file, its manifest and the ledger do not agree."""
    if not isinstance(manifest, dict) or manifest.get("sha256") != row.sha256:
        return f"{MANIFEST} is of another file"
    if manifest.get("samples") != row.samples:
        return f"{MANIFEST} says {manifest.get('samples')} samples, the ledger {row.samples}"
    if path.suffix == ".wav":
        with wave.open(str(path)) as audio:
            samples = audio.getnframes()
        if samples != row.samples:
            return f"has {samples} samples, not {row.samples}"
    return ""


def content_of(path: Path) -> tuple[int, str]:
    """Read a file to its end; return its size and its SHA-256."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size_bytes += len(piece)
    return size_bytes, digest.hexdigest()
